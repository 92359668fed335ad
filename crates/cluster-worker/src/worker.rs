//! Composes a worker from its parts.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use rustix::fs::OFlags;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::sync::watch;
use vat::SturdyRef;

use crate::agent::{Agent, AgentOptions, Ending, Exit, Intake};
use crate::config::WorkerConfig;
use crate::executor::{
    BuilderThread, CustomJobs, CustomUserError, DockerExecutor, Executors, OBuilderConfig,
    OBuilderExecutor, OBuilderRefusal, Tools,
};
use crate::job::JobRunner;
use crate::job_limits::JobGroups;
use crate::kept::KeptAttempts;
use crate::log::LogDir;
use crate::machine::Machine;
use crate::metrics::{BuilderStats, Stats};
use crate::process::Processes;
use crate::running::Running;
use crate::source::Sources;
use crate::state_disk::StateDisk;
use crate::update::{UpdateMethod, Updater};
use crate::uplink::Network;

/// Why a worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its state directory cannot be used.
    #[error("cannot use the state directory {path:?}: {source}")]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another worker uses its directory. Both would use the same clones, and delete each other's files.
    #[error("the state directory {0:?} is in use by another worker; give each worker its own")]
    InUse(PathBuf),
    /// The name of its directory cannot be passed to `docker`.
    #[error("the name of the state directory {0:?} must not contain commas, quotes or line breaks")]
    BadStateDir(PathBuf),
    /// Custom jobs cannot run as the configured user.
    #[error(transparent)]
    CustomUser(#[from] CustomUserError),
    /// The limits of jobs cannot be enforced.
    #[error("{0}")]
    JobLimits(String),
    /// OBuilder cannot be used as configured.
    #[error("{0}")]
    OBuilder(String),
}

/// Runs a worker for the scheduler at `scheduler`, until `shutdown` ends or the worker is updated.
///
/// When the connection is lost, it reconnects at most every 10 s. `shutdown` ends with an [`Ending`] (`()` cancels the
/// running jobs at once), and this returns when no job is running any more.
///
/// Call it within a `LocalSet`, on a thread that outlives it.
///
/// # Errors
/// When the worker cannot start, or its OBuilder builder has crashed.
pub async fn run(
    config: WorkerConfig,
    scheduler: SturdyRef,
    shutdown: impl Future<Output: Into<Ending>>,
) -> Result<Exit, WorkerError> {
    // A custom job's program that runs as the worker's user can read the worker's environment and memory in /proc,
    // unless the kernel refuses it. (It does not refuse root; use another user for custom jobs then.) The programs of
    // this project have set this already, other programs that use this library may not have.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!("Cannot hide this worker's memory from its jobs: {error}");
    }
    let parts = Parts::open(config)?;
    let mut shutdown = std::pin::pin!(async { shutdown.await.into() });
    let builder = match &parts.config.obuilder {
        None => None,
        Some(obuilder) => {
            let setup = obuilder.setup.clone();
            let open = || setup.open().map_err(|error| error.to_string());
            let stopping = async {
                (&mut shutdown).await;
            };
            let started = BuilderThread::start(open, obuilder.upkeep, stopping).await;
            match started.map_err(WorkerError::OBuilder)? {
                Some(builder) => Some(Rc::new(builder)),
                None => return Ok(Exit::Shutdown),
            }
        }
    };
    let executors = parts.executors(builder.clone());
    let stats = builder.as_ref().map(|builder| builder.stats());
    let crashed = async {
        match &builder {
            Some(builder) => builder.ended().await,
            None => std::future::pending().await,
        }
    };
    let end = async {
        tokio::select! {
            ending = shutdown => ending,
            // All OBuilder jobs would fail now. The supervisor restarts the worker.
            () = crashed => {
                tracing::error!("The builder has crashed; shutting down");
                Ending::AtOnce
            }
        }
    };
    let uplink = Network::new(scheduler, parts.config.dial.clone());
    let exit = parts
        .agent(executors, stats, AgentOptions::default())
        .run(&uplink, end)
        .await;
    if let Some(builder) = &builder {
        builder.finish().await.map_err(WorkerError::OBuilder)?;
    }
    Ok(exit)
}

/// The parts of a worker.
pub(crate) struct Parts {
    config: WorkerConfig,
    processes: Processes,
    /// `None` where groups cannot be made.
    job_groups: Option<JobGroups>,
    stats: Rc<Stats>,
    log_dir: LogDir,
    kept: Rc<KeptAttempts>,
    sources: Sources,
    /// Held while the worker runs.
    lock: File,
}

impl Parts {
    pub(crate) fn open(mut config: WorkerConfig) -> Result<Self, WorkerError> {
        let path = config.state_dir.clone();
        let unusable = |source| WorkerError::StateDir {
            path: path.clone(),
            source,
        };
        config.state_dir = std::path::absolute(&config.state_dir).map_err(unusable)?;
        // It becomes part of a list with commas, in which `docker` finds the files of secrets.
        if config
            .state_dir
            .to_string_lossy()
            .contains([',', '"', '\n', '\r'])
        {
            return Err(WorkerError::BadStateDir(config.state_dir));
        }
        let lock = lock(&config.state_dir).map_err(unusable)?;
        let lock = lock.ok_or_else(|| WorkerError::InUse(path.clone()))?;
        // OBuilder makes its own groups, and Docker's engine gets options.
        let job_groups = match config.custom.is_empty() {
            true => None,
            false => JobGroups::new(&config.job_limits.groups).map_err(WorkerError::JobLimits)?,
        };
        let processes = Processes::new();
        let log_dir = LogDir::open(&config.state_dir.join("log")).map_err(unusable)?;
        let kept = KeptAttempts::open(&config.state_dir.join("attempts")).map_err(unusable)?;
        let sources = Sources::open(
            &config.state_dir,
            config.clones,
            config.fetching,
            &config.environment,
            processes.clone(),
        );
        let sources = sources.map_err(unusable)?;
        if let Some(user) = &config.custom_user {
            user.prepare(&config.state_dir, &config.environment)?;
        }
        let stats = Rc::new(Stats::new(SystemTime::now()));
        Ok(Self {
            config,
            processes,
            job_groups,
            stats,
            log_dir,
            kept,
            sources,
            lock,
        })
    }

    fn executors(&self, builder: Option<Rc<BuilderThread>>) -> Executors {
        let config = &self.config;
        let docker = DockerExecutor::new(
            &config.docker,
            config.allow_push.clone(),
            &config.state_dir,
            config.environment.clone(),
            self.processes.clone(),
            Rc::clone(&self.stats),
        )
        .with_limits(&config.job_limits.groups)
        .optional(config.obuilder.is_some() || !config.custom.is_empty());
        Executors {
            docker: Rc::new(docker),
            obuilder: match (builder, &config.obuilder) {
                (Some(builder), Some(OBuilderConfig { setup, .. })) => {
                    let store = setup.store.place().path().to_owned();
                    Rc::new(OBuilderExecutor::new(builder, store))
                }
                (None, _) | (_, None) => Rc::new(OBuilderRefusal),
            },
            custom: Rc::new(self.custom_jobs()),
        }
    }

    pub(crate) fn custom_jobs(&self) -> CustomJobs {
        let WorkerConfig {
            state_dir,
            environment,
            custom,
            custom_user,
            ..
        } = &self.config;
        let tools = Tools::new(
            state_dir,
            environment.clone(),
            self.processes.clone(),
            custom_user.clone(),
            self.job_groups.clone(),
        );
        CustomJobs::new(custom.clone(), tools)
    }

    pub(crate) fn agent(
        self,
        executors: Executors,
        builder_stats: Option<watch::Receiver<BuilderStats>>,
        options: AgentOptions,
    ) -> Rc<Agent> {
        let Self {
            config,
            processes,
            job_groups: _,
            stats,
            log_dir,
            kept,
            sources,
            lock,
        } = self;
        let AgentOptions {
            reconnect_interval,
            update_pause,
            container,
        } = options;
        let replaceable = match config.update {
            UpdateMethod::Auto => container,
            UpdateMethod::Restart => None,
        };
        let updater = Updater::new(
            config.docker.command.clone(),
            config.environment.clone(),
            processes,
            replaceable,
        );
        let name = config.name.to_string();
        let machine = Machine::new(config.state_dir.clone());
        let state_disk = StateDisk::new(config.state_dir.clone(), config.state_min_free);
        let running = Running::counted_in(config.vitals.load.clone());
        let runner = JobRunner {
            name,
            sources,
            executors,
            stats: Rc::clone(&stats),
            timeout: config.job_limits.timeout,
            state_disk,
            is_paused: watch::Sender::default(),
        };
        Rc::new(Agent {
            config,
            runner,
            log_dir,
            kept,
            // Without it, an older connection of this process is found dead a little later.
            instance: getrandom::u64().unwrap_or(0),
            stats,
            machine,
            builder_stats,
            updater,
            running,
            intake: Intake::default(),
            exit: watch::Sender::new(None),
            reconnect_interval,
            update_pause,
            _lock: lock,
        })
    }
}

/// Locks the directory, and creates it if it is missing. `None` if it is locked already.
fn lock(state_dir: &Path) -> io::Result<Option<File>> {
    if !state_dir.is_dir() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)?;
    }
    // Symbolic links are not followed: the target may belong to another user.
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(state_dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
