//! The worker agent: takes jobs from a scheduler, runs them, and lets their clients watch.
//!
//! [`run`] is the whole of it. Inside, `agent` is the loop (room? take a job, run it, again), `job` is one job from its
//! first log line to its last, `source` fetches what it builds, and an `Executor` builds it, by way of `process`.

mod activity;
mod admission;
mod agent;
mod cancel;
mod config;
mod disk;
mod executor;
#[doc(hidden)]
pub mod fuzzing;
mod git_url;
mod given;
mod job;
mod job_limits;
mod job_secrets;
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
mod update;
mod uplink;
mod vitals;
mod weights;
mod worker;

#[cfg(test)]
mod testing;

pub use admission::{Mistake, find_mistake};
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
pub use settings::{Capacity, ConfigError, WorkerName};
pub use source::{CloneLimits, FetchConfig, LargeFiles};
pub use update::UpdateMethod;
pub use vitals::Vitals;
pub use weights::{JobWeight, JobWeightError, JobWeights};
pub use worker::{WorkerError, run};
