//! `ocluster-worker`: a worker, from its options.

pub(crate) mod docker_args;
pub(crate) mod free_threshold;
mod git_args;
pub(crate) mod job_limit_args;
pub(crate) mod obuilder_args;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use cluster_worker::{
    Capacity, CustomCommand, CustomExecutors, CustomUser, Ending, Environment, Exit, JobLimits,
    JobWeight, MetricsUrl, UpdateMethod, WorkerConfig, WorkerName,
};
use tokio::sync::oneshot;
use vat::SturdyRef;

use self::docker_args::DockerArgs;
use self::git_args::GitArgs;
use self::job_limit_args::JobLimitArgs;
use self::obuilder_args::OBuilderArgs;
use cli::capability_args::{CapFile, ConnectArgs};
use cli::error::CommandError;
use cli::health::HealthArgs;
use cli::logging::{LoggingArgs, Verbosity};
use cli::memory;
use cli::open_files;
use cli::program;
use cli::quantities::{disk_bytes, seconds};
use cli::service_manager::ServiceManager;
use cli::signals::Interrupts;
use cli::state_dir;

const NAME: &str = "ocluster-worker";

/// The time limit for a shutdown: the jobs get less of it, so that the builder can clean up.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(90);

/// Runs `ocluster-worker`.
pub fn main() -> ExitCode {
    // The built-in runtime is this program, started again for a single container.
    if let Some(code) = obuilder::sandbox::builtin::run_if_asked() {
        return code;
    }
    program::run(NAME, run)
}

/// Run build jobs from an OCluster scheduler
///
/// Give the pool's cap file as the argument CAP or with --connect.
#[derive(Debug, Parser)]
#[command(
    version,
    override_usage = "ocluster-worker [OPTIONS] [CAP] --name <ID> --state-dir <PATH>"
)]
pub(crate) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Name of this worker, unique in its pool
    #[arg(long, value_name = "ID")]
    name: WorkerName,
    /// Number of jobs to run at once
    #[arg(long, value_name = "N", default_value = "10")]
    capacity: Capacity,
    /// Directory for sources and logs, created if missing
    #[arg(long, value_name = "PATH")]
    state_dir: PathBuf,
    /// Take no jobs while the state directory's disk has less free space than this
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = disk_bytes)]
    state_min_free: u64,
    /// Repositories that jobs may push images to
    #[arg(long, value_name = "REPO,...", value_delimiter = ',')]
    allow_push: Vec<String>,
    #[command(flatten)]
    docker: DockerArgs,
    #[command(flatten)]
    obuilder: OBuilderArgs,
    #[command(flatten)]
    job_limits: JobLimitArgs,
    /// Program that runs custom jobs of KIND; may be repeated
    ///
    /// The program reads the payload from standard input, and its output is the job's log. Its working directory is the
    /// job's source. COMMAND is split into words as by a shell, but no shell runs.
    #[arg(long, value_name = "KIND=COMMAND")]
    custom: Vec<CustomCommand>,
    /// User that runs the programs of custom jobs
    ///
    /// This user owns the job's source, secrets and result. The worker must run as root.
    #[arg(long, value_name = "USER")]
    custom_user: Option<CustomUser>,
    /// Capacity used by jobs whose cache hint matches REGEX; may be repeated
    ///
    /// The first match applies. All other jobs use 1.
    #[arg(long = "job-weight", value_name = "REGEX=N")]
    job_weights: Vec<JobWeight>,
    #[command(flatten)]
    git: GitArgs,
    /// Size limit of a job's log, in MiB; a job that exceeds it fails
    #[arg(long, value_name = "MIB", default_value = "1024")]
    log_limit: u32,
    /// What to do on ocluster-admin update
    #[arg(long, value_name = "HOW", default_value = "auto")]
    update: Update,
    /// Additional metrics to report to the scheduler, by name and address
    #[arg(long, value_name = "NAME:URI,...", value_delimiter = ',')]
    additional_metrics: Vec<NamedMetrics>,
    /// Grace period for running jobs after SIGTERM, in seconds
    ///
    /// No jobs are taken meanwhile. Jobs that are still running afterwards are cancelled.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    shutdown_timeout: Duration,
    #[command(flatten)]
    health: HealthArgs,
    #[command(flatten)]
    logging: LoggingArgs,
}

/// One value of `--additional-metrics`.
#[derive(Clone, Debug)]
struct NamedMetrics {
    name: String,
    url: MetricsUrl,
}

impl FromStr for NamedMetrics {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        let (name, url) = value
            .split_once(':')
            .ok_or_else(|| format!("Malformed additional metric {value}"))?;
        Ok(Self {
            name: name.to_owned(),
            url: url
                .parse()
                .map_err(|error| format!("additional metric {name}: {error}"))?,
        })
    }
}

/// Returns the metrics by name.
fn by_name(metrics: Vec<NamedMetrics>) -> Result<BTreeMap<String, MetricsUrl>, CommandError> {
    let mut named = BTreeMap::new();
    for NamedMetrics { name, url } in metrics {
        if named.insert(name.clone(), url).is_some() {
            return Err(CommandError::usage(format_args!(
                "Duplicate additional metrics name: {name}"
            )));
        }
    }
    Ok(named)
}

/// How a worker changes to a newer version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Update {
    /// Through its Docker swarm, if there is one.
    #[value(
        help = "update the worker's service in a Docker swarm to the newest image of its tag; without one, as restart"
    )]
    Auto,
    /// By exiting.
    #[value(help = "exit with code 1, so that the supervisor restarts it")]
    Restart,
}

impl From<Update> for UpdateMethod {
    fn from(update: Update) -> Self {
        match update {
            Update::Auto => Self::Auto,
            Update::Restart => Self::Restart,
        }
    }
}

impl Args {
    fn config(self) -> Result<(WorkerConfig, CapFile), CommandError> {
        let (cap, positionals) = self.connect.split(self.positionals)?;
        positionals.finish()?;
        state_dir::check(&self.state_dir)?;
        let environment = environment();
        let job_limits = JobLimits::from(self.job_limits);
        let config = WorkerConfig {
            capacity: self.capacity,
            allow_push: self
                .allow_push
                .into_iter()
                .filter(|repo| !repo.is_empty())
                .collect(),
            docker: self.docker.into(),
            obuilder: self.obuilder.config(&job_limits, self.name.as_str())?,
            state_min_free: self.state_min_free,
            job_limits,
            custom: custom_executors(self.custom, &environment)?,
            custom_user: self.custom_user,
            job_weights: self.job_weights.into_iter().collect(),
            clones: self.git.clone_limits(),
            fetching: self.git.into(),
            log_limit: u64::from(self.log_limit) << 20,
            update: self.update.into(),
            additional_metrics: by_name(self.additional_metrics)?,
            ..WorkerConfig::new(self.name, self.state_dir, environment)
        };
        Ok((config, cap))
    }
}

/// Returns the executors of custom jobs, by kind.
fn custom_executors(
    commands: Vec<CustomCommand>,
    environment: &Environment,
) -> Result<CustomExecutors, CommandError> {
    let mut kinds = CustomExecutors::default();
    for command in commands {
        let added = kinds.add_command(command, environment);
        added.map_err(|error| CommandError::usage(format_args!("option '--custom': {error}")))?;
    }
    Ok(kinds)
}

/// Returns the variables of our environment that the programs run by a worker may see.
pub(crate) fn environment() -> Environment {
    Environment::from_vars(std::env::vars_os())
}

async fn run(args: Args) -> Result<(), CommandError> {
    args.logging.start(Verbosity::Info);
    let mut interrupts = Interrupts::listen()?;
    args.health.clone().start();
    memory::release_periodically();
    let grace_period = args.shutdown_timeout;
    let (mut config, cap) = args.config()?;
    config.dial = cap.dial_options();
    let scheduler = cap.load()?;
    let manager = ServiceManager::from_env();
    let (vitals, capacity) = (config.vitals.clone(), config.capacity);
    let informed = async {
        // The worker is ready even if the scheduler is unreachable: a restart would not help.
        vitals.started().await;
        manager.ready(&vitals.status(capacity));
        manager
            .report_periodically(|| vitals.status(capacity))
            .await
    };
    let exit = tokio::select! {
        exit = run_until_interrupted(config, scheduler, &mut interrupts, grace_period, &manager) => exit?,
        never = informed => match never {},
    };
    match exit {
        Exit::Shutdown => Ok(()),
        // Upstream's worker exits with code 1 after an update, so that its supervisor starts the new version.
        Exit::Updated => Err(CommandError::already_reported()),
    }
}

/// Runs a worker until it ends by itself, or has shut down after the first interrupt. The second ends it immediately.
///
/// Service managers send SIGTERM: jobs get `grace_period` to end. Ctrl-C cancels them.
pub(crate) async fn run_until_interrupted(
    config: WorkerConfig,
    scheduler: SturdyRef,
    interrupts: &mut Interrupts,
    grace_period: Duration,
    manager: &ServiceManager,
) -> Result<Exit, CommandError> {
    open_files::warn_if_few(config.capacity.value().unsigned_abs().into());
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        // An error means that this future was dropped, and the worker with it.
        stopped.await.unwrap_or(Ending::AtOnce)
    };
    let mut running = std::pin::pin!(cluster_worker::run(config, scheduler, shutdown));
    let first = tokio::select! {
        ended = &mut running => return ended.map_err(CommandError::caused),
        first = interrupts.next() => first,
    };
    let signal = first.name();
    let ending = match first.grace_period(grace_period) {
        Some(period) => {
            tracing::info!(
                target: "worker",
                "{signal}: taking no more jobs; waiting up to {} s for running jobs. Another signal ends this worker \
                 immediately",
                period.as_secs_f64()
            );
            manager.stopping(period + SHUTDOWN_MARGIN, "waiting for running jobs");
            Ending::Drain { within: period }
        }
        None => {
            tracing::info!(target: "worker", "{signal}: cancelling all jobs and shutting down");
            manager.stopping(SHUTDOWN_MARGIN, "cancelling all jobs");
            Ending::AtOnce
        }
    };
    // An error means that it has ended by itself.
    let _ = stop.send(ending);
    tokio::select! {
        ended = running => ended.map_err(CommandError::caused),
        second = interrupts.next() => {
            Err(CommandError::interrupted(second, "Exiting without waiting for jobs to stop"))
        }
    }
}
