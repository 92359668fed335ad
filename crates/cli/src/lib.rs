//! What OCluster's programs have in common: how they print, log and end.
//!
//! Only this crate and the programs print, read the environment, or decide how a process ends.

pub mod appearance;
pub mod error;
pub mod exit_codes;
pub mod failure;
pub mod health;
pub mod human;
pub mod interrupt;
pub mod logging;
pub mod memory;
pub mod open_files;
pub mod output;
pub mod print;
pub mod private_memory;
pub mod quote;
pub mod runtime;
pub mod service_manager;
pub mod signals;
pub mod state_dir;
pub mod status_line;
pub mod terminal;
