//! `ocluster dev`: a scheduler and a worker in one process, for trying OCluster out and for testing your own clients.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_scheduler::{
    DEFAULT_UPDATE_TIMEOUT, DerivedService, FileName, JobSettings, KeySource, Limits, Scheduler,
    SchedulerConfig, StoreSettings, Transport,
};
use cluster_worker::{Capacity, JobLimits, WorkerConfig, WorkerName};
use vat::{Address, ServeOptions};

use crate::worker;
use crate::worker::docker_args::DockerArgs;
use crate::worker::job_limit_args::JobLimitArgs;
use crate::worker::obuilder_args::OBuilderArgs;
use cli::capability_args::CapFile;
use cli::error::CommandError;
use cli::print::print;
use cli::service_manager::ServiceManager;
use cli::signals::Interrupts;

/// Run a scheduler and a worker in one process
///
/// All files, cap files included, go in the state directory.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Directory for all files, created if missing
    #[arg(long, value_name = "DIR", default_value = "./ocluster-dev")]
    state_dir: PathBuf,
    /// Number of jobs to run at once
    #[arg(long, value_name = "N", default_value = "2")]
    capacity: Capacity,
    /// Name of the worker
    #[arg(long, value_name = "ID", default_value = "dev")]
    name: WorkerName,
    /// Name of the pool
    #[arg(long, value_name = "NAME", default_value = "linux-x86_64")]
    pool: FileName,
    /// Address to listen on: tcp:HOST:PORT or unix:PATH; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "tcp:127.0.0.1:0")]
    listen: Address,
    #[command(flatten)]
    docker: DockerArgs,
    #[command(flatten)]
    obuilder: OBuilderArgs,
    #[command(flatten)]
    job_limits: JobLimitArgs,
}

/// Runs both until one ends or the user interrupts them.
pub(crate) async fn run(args: Args) -> Result<(), CommandError> {
    let mut interrupts = Interrupts::listen()?;
    make_dir(&args.state_dir)?;
    let scheduler = Scheduler::start(args.scheduler_config())
        .await
        .map_err(CommandError::caused)?;
    let pool_cap = CapFile::existing(
        args.file(&DerivedService::Registration(args.pool.clone()).cap_file()),
        "the pool's cap file",
    )?;
    print(&args.introduction())?;
    let job_limits = JobLimits::from(args.job_limits.clone());
    let config = WorkerConfig {
        capacity: args.capacity,
        docker: args.docker.clone().into(),
        obuilder: args
            .obuilder
            .clone()
            .config(&job_limits, args.name.as_str())?,
        job_limits,
        ..WorkerConfig::new(
            args.name.clone(),
            args.file("worker"),
            worker::environment(),
        )
    };
    let mut serving = std::pin::pin!(scheduler.run());
    let no_manager = ServiceManager::none();
    let working = worker::run_until_interrupted(
        config,
        pool_cap.load()?,
        &mut interrupts,
        Duration::ZERO,
        &no_manager,
    );
    let outcome = tokio::select! {
        () = &mut serving => return Err(CommandError::failed("the scheduler has exited")),
        ended = working => ended.map(drop),
    };
    scheduler.shutdown();
    serving.await;
    outcome
}

impl Args {
    fn file(&self, name: &str) -> PathBuf {
        self.state_dir.join(name)
    }

    fn scheduler_config(&self) -> SchedulerConfig {
        SchedulerConfig {
            state_dir: self.file("scheduler"),
            store: StoreSettings::Files,
            has_led: false,
            secrets_dir: self.state_dir.clone(),
            key: KeySource::File(self.file("key.pem")),
            listen: self.listen.clone(),
            public: None,
            transport: Transport::Tls,
            pools: BTreeSet::from([self.pool.clone()]),
            default_clients: Vec::new(),
            metrics: None,
            update_timeout: DEFAULT_UPDATE_TIMEOUT,
            limits: Limits::default(),
            jobs: JobSettings::default(),
            log_store: None,
            connections: ServeOptions::default(),
            web: None,
        }
    }

    /// Returns the text for standard output when the scheduler is ready.
    fn introduction(&self) -> String {
        let submission = self.file(&DerivedService::SharedSubmission.cap_file());
        let admin = self.file(&DerivedService::Admin.cap_file());
        format!(
            "A scheduler and a worker are running. Try, in another terminal:\n\n  \
               ocluster-client submit-docker {submission} --pool={pool} --local-dockerfile Dockerfile\n  \
               ocluster-admin show {admin} {pool}\n\n\
             Ctrl-C ends them.\n",
            submission = submission.display(),
            admin = admin.display(),
            pool = self.pool,
        )
    }
}

fn make_dir(path: &Path) -> Result<(), CommandError> {
    std::fs::create_dir_all(path).map_err(|error| {
        CommandError::failed(format_args!(
            "option '--state-dir': cannot create '{}': {error}",
            path.display()
        ))
    })
}
