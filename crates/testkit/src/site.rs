//! A scheduler in this process.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{Admin, PoolAdmin, Submission};
use cluster_scheduler::{
    DEFAULT_UPDATE_TIMEOUT, FileName, JobSettings, KeySource, Limits, Scheduler, SchedulerConfig,
    StoreSettings, Transport,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use vat::{Address, ServeOptions, SturdyRef, cap_file};

use crate::connected::Connected;
use crate::log_capture::LogCapture;
use crate::story::until;

struct RunningScheduler {
    scheduler: Rc<Scheduler>,
    task: JoinHandle<()>,
}

/// A scheduler with its directories, its cap files and the log lines of its thread.
pub struct Site {
    _directory: TempDir,
    /// What was logged since the start.
    pub logs: LogCapture,
    /// The configuration for the next start.
    pub config: SchedulerConfig,
    /// `None` while it is stopped.
    running: Option<RunningScheduler>,
    /// Warnings that belong to the story.
    expected_warnings: RefCell<Vec<String>>,
}

impl Site {
    /// Starts a scheduler with one pool, `pool`.
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// Starts a scheduler at a Unix socket, so that it has the same address after a restart.
    pub async fn start_at_socket() -> Self {
        Self::start_with(|config| {
            config.listen = Address::Unix(config.state_dir.with_file_name("socket"));
        })
        .await
    }

    /// Starts a scheduler whose configuration is [`config_in`] with some changes.
    pub async fn start_with(adjust: impl FnOnce(&mut SchedulerConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config_in(directory.path());
        adjust(&mut config);
        Self::start_in(directory, config).await
    }

    /// Starts a scheduler in a directory that is there already.
    pub async fn start_in(directory: TempDir, config: SchedulerConfig) -> Self {
        let logs = LogCapture::start();
        let running = Some(run(config.clone()).await);
        Self {
            _directory: directory,
            logs,
            config,
            running,
            expected_warnings: RefCell::default(),
        }
    }

    /// Starts the scheduler after a stop.
    pub async fn start_again(&mut self) {
        assert!(self.running.is_none(), "the scheduler is running");
        self.running = Some(run(self.config.clone()).await);
    }

    /// Stops the scheduler and starts another one in its place.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Stops the scheduler without draining it.
    pub async fn stop(&mut self) {
        let RunningScheduler { scheduler, task } =
            self.running.take().expect("the scheduler is stopped");
        scheduler.shutdown();
        task.await.unwrap();
    }

    /// Stops the scheduler as a signal does that leaves running jobs no grace period.
    pub async fn terminate(&mut self) {
        self.scheduler().drain(Duration::ZERO).await;
        self.stop().await;
    }

    /// Returns the scheduler, which must be running.
    pub fn scheduler(&self) -> &Scheduler {
        let running = self.running.as_ref().expect("the scheduler is stopped");
        &running.scheduler
    }

    /// Returns the directory of the cap files.
    pub fn secrets(&self) -> PathBuf {
        self.config.secrets_dir.clone()
    }

    /// Returns the path of the database.
    pub fn database(&self) -> PathBuf {
        self.config.state_dir.join("scheduler.db")
    }

    /// Returns the sturdy ref in a cap file.
    pub fn cap(&self, name: &str) -> SturdyRef {
        cap_file::load(self.secrets().join(name)).unwrap()
    }

    /// Connects to a service, as a vat of its own.
    pub async fn connect(&self, cap: &SturdyRef) -> Connected {
        Connected::to(cap).await.unwrap()
    }

    /// Connects an operator.
    pub async fn admin(&self) -> (Admin, Connected) {
        let connected = self.connect(&self.cap("admin.cap")).await;
        (Admin::from_client(connected.client.clone()), connected)
    }

    /// Connects an operator of the pool.
    pub async fn pool_admin(&self) -> (PoolAdmin, Connected) {
        let (admin, connected) = self.admin().await;
        (admin.pool("pool").await.unwrap(), connected)
    }

    /// Adds a client, and connects it.
    pub async fn client(&self, name: &str) -> (Submission, Connected) {
        let cap = self.client_cap(name).await;
        let connected = self.connect(&cap).await;
        (Submission::from_client(connected.client.clone()), connected)
    }

    /// Adds a client, and returns its sturdy ref.
    pub async fn client_cap(&self, name: &str) -> SturdyRef {
        let (admin, _connected) = self.admin().await;
        let submission = admin.add_client(name).await.unwrap();
        submission.save().await.unwrap().parse().unwrap()
    }

    /// Returns the pool's state, as an operator sees it.
    pub async fn show(&self) -> String {
        let (pool, _connected) = self.pool_admin().await;
        pool.show().await.unwrap()
    }

    /// Waits until the pool's state contains `text`.
    pub async fn shows(&self, text: &str) {
        until(&format!("the pool's state contains {text:?}"), async || {
            self.show().await.contains(text)
        })
        .await;
    }

    /// Returns how many jobs of the shared client `submission` are queued.
    pub async fn count_queued(&self) -> usize {
        let state = self.show().await;
        // The running jobs come after the line of the clients.
        let queues = state.split("\nclients:").next().unwrap_or_default();
        queues.matches("submission:").count()
    }

    /// Waits until this many jobs of the shared client `submission` are queued.
    pub async fn until_queued(&self, jobs: usize) {
        until(&format!("{jobs} jobs are queued"), async || {
            self.count_queued().await == jobs
        })
        .await;
    }

    /// Allows one warning that contains `text`. [`finish`](Self::finish) fails if it was not logged.
    pub fn expect_warning(&self, text: &str) {
        self.expected_warnings.borrow_mut().push(text.to_owned());
    }

    /// Ends the story.
    ///
    /// # Panics
    /// When something is left in the pool, or a warning was logged that is not expected, or one that is was not.
    pub async fn finish(mut self) {
        until("the pool is idle", async || {
            let state = self.show().await.replace("(ready)", "(backlog)");
            state.contains("queue: (backlog) []\nregistered:\ndisconnected:")
        })
        .await;
        // Were the log lines lost, this would fail: a worker that registered was released.
        assert!(
            self.logs.contains("Release worker") || !self.logs.contains("Registered new worker")
        );
        // Taken before the stop: clients that are still connected warn that they have lost their server.
        let mut warnings = self.logs.warnings();
        self.stop().await;
        for expected in self.expected_warnings.borrow().iter() {
            let found = warnings
                .iter()
                .position(|warning| warning.contains(expected));
            warnings.remove(found.unwrap_or_else(|| panic!("no warning contains {expected:?}")));
        }
        assert_eq!(warnings, Vec::<String>::new(), "unexpected warnings");
    }
}

/// Returns a configuration with everything in `directory`, and one pool, `pool`.
pub fn config_in(directory: &Path) -> SchedulerConfig {
    let secrets_dir = directory.join("secrets");
    std::fs::create_dir_all(&secrets_dir).unwrap();
    SchedulerConfig {
        state_dir: directory.join("state"),
        store: StoreSettings::Files,
        has_led: false,
        key: KeySource::File(secrets_dir.join("key.pem")),
        secrets_dir,
        listen: "tcp:127.0.0.1:0".parse().unwrap(),
        public: None,
        transport: Transport::Tls,
        pools: [FileName::new("pool").unwrap()].into(),
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

async fn run(config: SchedulerConfig) -> RunningScheduler {
    let scheduler = Rc::new(Scheduler::start(config).await.unwrap());
    let running = Rc::clone(&scheduler);
    let task = tokio::task::spawn_local(async move { running.run().await });
    RunningScheduler { scheduler, task }
}
