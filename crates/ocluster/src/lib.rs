//! The programs of OCluster.
//!
//! Each program is a module with a `main`, which its binary calls. What all of them share, such as options and logging,
//! is in [`cli`]. Only `cli` and this crate print, read the environment, or decide how a process ends.

pub mod admin;
mod bench;
pub mod client;
mod columns;
mod decoder;
mod dev;
mod doctor;
mod generate;
mod json;
mod labels;
pub mod obuilder;
pub mod ocluster;
mod pages;
pub mod reference;
pub mod scheduler;
mod secret_output;
mod timeline;
mod timestamps;
mod top;
mod web_link;
pub mod worker;
