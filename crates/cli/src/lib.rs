//! What OCluster's programs have in common: how they print, log and end.
//!
//! Only this crate and the programs print, read the environment, or decide how a process ends.
//!
//! A command returns a [`CommandError`](error::CommandError), which decides what is printed on standard error and the
//! exit code:
//!
//! ```
//! use cli::error::CommandError;
//! use cli::human;
//! use cli::quote::quoted;
//!
//! let error = CommandError::usage("option '--pool': no value").hint("ocluster-admin show lists the pools");
//! assert_eq!(error.kind.exit_code(), 124);
//! assert_eq!(
//!     error.render("ocluster-client"),
//!     "ocluster-client: option '--pool': no value\n\
//!      Hint: ocluster-admin show lists the pools\n\
//!      Try 'ocluster-client --help' for more information.\n"
//! );
//! let rows = [["worker".to_owned(), "jobs".to_owned()], ["w1".to_owned(), "2".to_owned()]];
//! assert_eq!(human::table(&rows.map(Vec::from)), "worker  jobs\nw1      2\n");
//! assert_eq!(quoted("a \"name\"\n"), r#""a \"name\"\n""#);
//! ```

pub mod appearance;
pub mod capability_args;
pub mod completion;
pub mod config;
pub mod connect;
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
pub mod positionals;
pub mod print;
mod private_memory;
pub mod program;
pub mod quantities;
pub mod quote;
pub mod runtime;
pub mod service_manager;
pub mod signals;
pub mod state_dir;
pub mod status_line;
pub mod terminal;
