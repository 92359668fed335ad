//! The OCluster command lines.
//!
//! Each program is a module with a `main` and an `Args`; its binary does nothing else than call it. Only this crate
//! prints, reads the environment, or decides how a process ends.

pub mod admin;
pub mod bench;
pub mod capability_args;
pub mod client;
pub mod completion;
pub mod config;
pub mod connect;
pub mod dev;
mod doctor;
pub mod error;
pub mod exit_codes;
pub mod generate;
pub mod health;
mod human;
mod job_limits;
pub mod json;
pub mod logging;
pub mod obuilder;
pub mod obuilder_args;
pub mod ocluster;
pub mod open_files;
pub mod output;
pub mod positionals;
pub mod program;
pub mod programs;
pub mod quote;
pub mod scheduler;
pub mod service_manager;
pub mod signals;
pub mod status_line;
pub mod worker;
