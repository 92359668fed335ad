//! The scheduler service: matches jobs to workers, and forwards between them.
//!
//! [`Scheduler::start`] reads what is on disk and listens; [`Scheduler::run`] serves. Inside:
//!
//! - a `Reactor` for each pool tells the pool (which decides) what happened, and does what it asks for;
//! - `service/` has one file for each interface that others can call;
//! - `metrics/` tells Prometheus, over HTTP;
//! - [`db`] remembers what must outlive the process, in upstream's SQLite file.
//!
//! Everything but the database's thread lives on one thread, as capabilities cannot leave theirs.

mod clients;
mod clock;
mod cluster;
mod config;
pub mod db;
mod derived;
mod details;
mod hints;
mod history;
mod http;
mod limits;
mod metrics;
mod obstacle;
mod overview;
mod pauses;
mod queue_positions;
mod queue_quota;
mod reactor;
mod roster;
mod scheduler;
mod service;
mod shutdown;
mod state_dir;
mod tickets;

pub use cluster::AddClientError;
pub use config::{
    DEFAULT_UPDATE_TIMEOUT, FileName, FileNameError, KeySource, PoolName, SchedulerConfig,
    Transport,
};
pub use derived::DerivedService;
pub use limits::Limits;
pub use metrics::example_metrics;
pub use scheduler::{Scheduler, StartError, Status};
pub use service::restore::ServiceError;
pub use state_dir::StateDirError;
