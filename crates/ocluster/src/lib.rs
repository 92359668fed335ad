//! The OCluster command lines.
//!
//! Each program is a module with a `main` and an `Args`; its binary does nothing else than call it. Only this crate
//! prints, reads the environment, or decides how a process ends.

pub mod admin;
mod appearance;
pub mod bench;
pub mod capability_args;
pub mod client;
pub mod completion;
pub mod config;
pub mod connect;
pub mod connection_args;
pub mod dev;
mod doctor;
pub mod error;
pub mod exit_codes;
#[doc(hidden)]
pub mod fuzzing;
pub mod generate;
pub mod git_args;
pub mod health;
mod human;
mod job_limits;
pub mod json;
mod limit_args;
pub mod logging;
mod memory;
pub mod obuilder;
pub mod obuilder_args;
pub mod ocluster;
pub mod open_files;
pub mod output;
pub mod positionals;
mod private_memory;
pub mod program;
pub mod programs;
pub mod quote;
pub mod scheduler;
pub mod service_manager;
pub mod signals;
mod sizes;
mod state_dir;
pub mod status_line;
pub mod terminal;
pub mod worker;
