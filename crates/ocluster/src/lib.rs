//! The OCluster command lines.
//!
//! Each program is a module with a `main` and an `Args`; its binary does nothing else than call it. Only this crate and
//! [`cli`] print, read the environment, or decide how a process ends.

pub mod admin;
pub mod bench;
pub mod capability_args;
pub mod client;
pub mod completion;
pub mod connect;
pub mod connection_args;
pub mod dev;
mod doctor;
#[doc(hidden)]
pub mod fuzzing;
pub mod generate;
pub mod git_args;
mod job_limits;
pub mod json;
mod limit_args;
pub mod obuilder;
pub mod obuilder_args;
pub mod ocluster;
pub mod positionals;
pub mod program;
pub mod programs;
pub mod scheduler;
mod sizes;
pub mod worker;
