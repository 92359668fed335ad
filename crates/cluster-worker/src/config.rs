//! The configuration of a worker.

use std::collections::BTreeMap;
use std::path::PathBuf;

use vat::DialOptions;
use visible::WorkerName;

use crate::executor::{CustomExecutors, CustomUser, DockerConfig, OBuilderConfig};
use crate::job_limits::JobLimits;
use crate::metrics_url::MetricsUrl;
use crate::process::Environment;
use crate::settings::Capacity;
use crate::source::{CloneLimits, FetchConfig};
use crate::update::UpdateMethod;
use crate::vitals::Vitals;
use crate::weights::JobWeights;

/// The default size limit of a job's log, in bytes.
pub const DEFAULT_LOG_LIMIT: u64 = 1 << 30;

/// The default for the free bytes that the state directory's disk must have: room for a checkout and its log.
pub const DEFAULT_STATE_MIN_FREE: u64 = 256 << 20;

/// The configuration of a worker.
#[derive(Clone)]
pub struct WorkerConfig {
    /// The worker's name, unique in its pool.
    pub name: WorkerName,
    /// How many jobs it runs at once, by weight.
    pub capacity: Capacity,
    /// The directory of clones, logs and temporary files. Created if missing.
    pub state_dir: PathBuf,
    /// The repositories that jobs may push images to.
    pub allow_push: Vec<String>,
    /// How it uses Docker.
    pub docker: DockerConfig,
    /// How it builds OBuilder specs, if at all.
    pub obuilder: Option<OBuilderConfig>,
    /// How many bytes must be free on the state directory's disk. With less, the worker takes no jobs.
    pub state_min_free: u64,
    /// How long it keeps clones of git repositories.
    pub clones: CloneLimits,
    /// How jobs' sources are fetched, and how long that may take.
    pub fetching: FetchConfig,
    /// The limits of a job. The limits of OBuilder's steps are in the setup in [`obuilder`](Self::obuilder).
    pub job_limits: JobLimits,
    /// The size limit of a job's log, in bytes. A job that prints more fails.
    pub log_limit: u64,
    /// How it updates itself.
    pub update: UpdateMethod,
    /// Metrics of other programs that it forwards, by name.
    pub additional_metrics: BTreeMap<String, MetricsUrl>,
    /// The environment of the programs that it runs. See [`Environment::from_vars`].
    pub environment: Environment,
    /// The kinds of custom jobs that it runs.
    pub custom: CustomExecutors,
    /// The user of custom jobs' programs. `None`: the worker's own user.
    pub custom_user: Option<CustomUser>,
    /// How much of the capacity each job takes.
    pub job_weights: JobWeights,
    /// How it connects to the scheduler.
    pub dial: DialOptions,
    /// Where the worker reports its status.
    pub vitals: Vitals,
}

impl WorkerConfig {
    /// Returns the default settings.
    pub fn new(name: WorkerName, state_dir: impl Into<PathBuf>, environment: Environment) -> Self {
        Self {
            name,
            capacity: Capacity::default(),
            state_dir: state_dir.into(),
            allow_push: Vec::new(),
            docker: DockerConfig::default(),
            obuilder: None,
            state_min_free: DEFAULT_STATE_MIN_FREE,
            clones: CloneLimits::default(),
            fetching: FetchConfig::default(),
            job_limits: JobLimits::default(),
            log_limit: DEFAULT_LOG_LIMIT,
            update: UpdateMethod::default(),
            additional_metrics: BTreeMap::new(),
            environment,
            custom: CustomExecutors::default(),
            custom_user: None,
            job_weights: JobWeights::default(),
            dial: DialOptions::default(),
            vitals: Vitals::default(),
        }
    }
}
