//! The worker agent: takes jobs from a scheduler, runs them, and serves their logs to their clients.
//!
//! [`run`] starts a worker. It runs Docker and OBuilder jobs, and custom jobs of the kinds that you add:
//!
//! ```
//! use cluster_worker::{CustomExecutor, Ending, Environment, Exit, JobError, RunningJob, WorkerConfig};
//!
//! /// Returns its payload in capital letters.
//! struct Capitals;
//!
//! impl CustomExecutor for Capitals {
//!     async fn run(&self, job: RunningJob<'_>) -> Result<String, JobError> {
//!         let text = job.payload.to_text().ok_or_else(|| JobError::failed("the payload is not text"))?;
//!         job.log.line(format!("Converting {} bytes", text.len()))?;
//!         Ok(text.to_uppercase())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let state_dir = tempfile::tempdir()?;
//! let environment = Environment::from_vars(std::env::vars_os());
//! let mut config = WorkerConfig::new("w1".parse()?, state_dir.path(), environment);
//! config.custom.add("capitals", Capitals)?;
//!
//! // A real worker loads it with `vat::cap_file::load`, from the cap file of its pool.
//! let scheduler = "capnp://sha-256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@127.0.0.1:1/AAAA".parse()?;
//! // A real worker awaits a signal here.
//! let shutdown = async { Ending::AtOnce };
//! let worker = cluster_worker::run(config, scheduler, shutdown);
//! let exit = tokio::task::LocalSet::new().run_until(worker).await?;
//! assert_eq!(exit, Exit::Shutdown);
//! # Ok(())
//! # }
//! ```
//!
//! Inside, `agent` is the loop (wait for room, request a job, start it), `job` is one job from its first log line to
//! its last, `admission` reads its description, `source` fetches its source, and an `Executor` builds it. Programs are
//! run by `process`.

mod activity;
mod admission;
mod agent;
mod cancel;
mod clock;
mod config;
mod connection_jobs;
mod disk;
mod executor;
#[doc(hidden)]
pub mod fuzzing;
mod job;
mod job_limits;
mod job_secrets;
mod kept;
mod leftovers;
mod log;
mod machine;
mod metrics;
mod metrics_url;
mod outcome;
mod process;
mod running;
mod scrape;
mod settings;
mod source;
mod state_disk;
mod timeline;
mod update;
mod uplink;
mod vitals;
mod weights;
mod worker;

#[cfg(test)]
mod testing;

pub use agent::{Ending, Exit};
pub use cancel::Cancel;
pub use config::{DEFAULT_LOG_LIMIT, DEFAULT_STATE_MIN_FREE, WorkerConfig};
pub use disk::{FreeThreshold, Gigabytes, Percent};
pub use executor::{
    CUSTOM_VARIABLES, CustomCommand, CustomError, CustomExecutor, CustomExecutors, CustomUser,
    CustomUserError, DockerConfig, OBuilderConfig, PullPolicy, RunningJob, Upkeep,
};
pub use job_limits::JobLimits;
pub use log::{JobLog, LogError};
pub use metrics::example_metrics;
pub use metrics_url::MetricsUrl;
pub use outcome::{JobError, LimitReached};
pub use process::{Command, Environment};
pub use settings::{Capacity, ConfigError};
pub use source::{CloneLimits, FetchConfig, LargeFiles};
pub use update::UpdateMethod;
pub use visible::{NameError, WorkerName};
pub use vitals::Vitals;
pub use weights::{JobWeight, JobWeightError, JobWeights};
pub use worker::{WorkerError, run};
