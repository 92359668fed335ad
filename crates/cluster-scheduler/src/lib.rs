//! The scheduler service: matches jobs to workers, and forwards between them.
//!
//! [`Scheduler::start`] opens what is on disk and listens; [`Scheduler::run`] serves:
//!
//! ```
//! use cluster_scheduler::{
//!     DEFAULT_UPDATE_TIMEOUT, JobSettings, KeySource, Limits, Scheduler, SchedulerConfig, StoreSettings, Transport,
//! };
//! use vat::{Address, ServeOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let secrets_dir = directory.path().join("secrets");
//! std::fs::create_dir(&secrets_dir)?;
//! let config = SchedulerConfig {
//!     state_dir: directory.path().join("state"),
//!     store: StoreSettings::Files,
//!     has_led: false,
//!     secrets_dir,
//!     key: KeySource::Ephemeral,
//!     listen: Address::Unix(directory.path().join("socket")),
//!     public: None,
//!     transport: Transport::Plaintext,
//!     pools: ["linux-x86_64".parse()?].into(),
//!     default_clients: vec!["alice".parse()?],
//!     metrics: None,
//!     update_timeout: DEFAULT_UPDATE_TIMEOUT,
//!     limits: Limits::default(),
//!     jobs: JobSettings::default(),
//!     log_store: None,
//!     connections: ServeOptions::default(),
//!     web: None,
//! };
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! tokio::task::LocalSet::new().block_on(&runtime, async {
//!     let scheduler = Scheduler::start(config).await?;
//!     // Workers and clients find it by these files: submit-alice.cap, …
//!     assert_eq!(scheduler.cap_files().len(), 4);
//!     let use_it = async {
//!         println!("{}", scheduler.status());
//!         scheduler.shutdown();
//!     };
//!     tokio::join!(scheduler.run(), use_it);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Inside:
//!
//! - `scheduler/` starts and stops it all, and writes cap files;
//! - a `Reactor` for each pool reports events to the pool (which decides) and performs its effects;
//! - `service/` has one file for each interface that others can call;
//! - `http/` serves pages, and `metrics/` makes those for Prometheus;
//! - `web/` answers what the pages of `cluster_web` ask for;
//! - [`db`] keeps what must outlive the process, in upstream's SQLite file or in PostgreSQL.
//!
//! Everything but the threads of the database and of the pages runs on one thread, because capabilities cannot leave
//! theirs.

mod attached;
mod clients;
mod clock;
mod cluster;
mod config;
pub mod db;
mod derived;
mod details;
mod durable;
mod explain;
mod hints;
mod history;
mod http;
mod job_settings;
mod leading;
mod limits;
mod log_store_settings;
mod metrics;
mod overview;
mod pauses;
mod queue_quota;
mod reactor;
mod roster;
mod scheduler;
mod service;
mod shutdown;
mod state_dir;
mod store_copy;
mod tickets;
mod web;
mod web_delays;
mod web_links;

pub use cluster::AddClientError;
pub use config::{
    DEFAULT_UPDATE_TIMEOUT, FileName, FileNameError, KeySource, PoolName, SchedulerConfig,
    StoreSettings, Transport,
};
pub use derived::DerivedService;
pub use durable::KeepError;
pub use job_settings::JobSettings;
pub use job_store::log_store::{LogStoreAddress, LogStoreCredentials, ParseLogStoreError};
pub use leadership::StopReason;
pub use leading::LeaseError;
pub use limits::Limits;
pub use log_store_settings::{Acknowledge, LogStoreSettings};
pub use metrics::example_metrics;
pub use scheduler::{Scheduler, Standby, StartError, Status};
pub use state_dir::StateDirError;
pub use store_copy::{CopiedTable, CopyError, StorePlace, copy_store};
