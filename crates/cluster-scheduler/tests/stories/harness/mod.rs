//! A scheduler in this process, with mock workers and clients that reach it over real connections.
//!
//! A test is a [`story`]. It starts a [`Site`], connects [`MockWorker`]s and clients, and ends with
//! [`Site::finish`], which complains about everything that was left behind or unexpectedly warned about.

mod client;
mod logs;
mod worker;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use capnp::capability::Client;
use cluster_api::{Admin, PoolAdmin, Progress, RpcError, ServeProgress, Submission};
use cluster_scheduler::{
    DEFAULT_UPDATE_TIMEOUT, FileName, KeySource, Limits, Scheduler, SchedulerConfig, Transport,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use vat::{DialOptions, Dialer, ServeOptions, Session, SturdyRef, cap_file};

pub(crate) use self::client::{Ended, custom, described, docker, ended, ended_ticket};
pub(crate) use self::logs::Logs;
pub(crate) use self::worker::{MockBuilder, MockWorker, Outcome, SilentWorker, Update};

/// How long a story may take before it counts as stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Runs a test with everything on one thread.
pub(crate) fn story(test: impl Future<Output = ()>) {
    let (_finished, running) = std::sync::mpsc::channel::<()>();
    let (give_up, stuck) = tokio::sync::oneshot::channel();
    // By the wall's clock: a story may stop and advance the runtime's.
    std::thread::spawn(move || {
        if running.recv_timeout(STUCK) == Err(RecvTimeoutError::Timeout) {
            give_up.send(()).ok();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            () = test => {}
            Ok(()) = stuck => panic!("the story is stuck"),
        }
    });
}

/// Lets everything that can happen happen, over real sockets: until `done` holds.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

/// Lets seconds pass in a moment, with all that happens in them.
pub(crate) async fn seconds_pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

struct Running {
    scheduler: Rc<Scheduler>,
    serving: JoinHandle<()>,
}

/// A scheduler and its directories.
pub(crate) struct Site {
    _directory: TempDir,
    pub(crate) logs: Logs,
    pub(crate) config: SchedulerConfig,
    /// `None` while it is stopped.
    running: Option<Running>,
    /// Warnings that belong to the story.
    expected: RefCell<Vec<String>>,
}

impl Site {
    /// Starts a scheduler with one pool, `pool`.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut SchedulerConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config_in(directory.path());
        adjust(&mut config);
        Self::start_in(directory, config).await
    }

    pub(crate) async fn start_in(directory: TempDir, config: SchedulerConfig) -> Self {
        let logs = Logs::capture();
        let running = Some(run(config.clone()).await);
        Self {
            _directory: directory,
            logs,
            config,
            running,
            expected: RefCell::default(),
        }
    }

    /// Stops the scheduler and starts another one in its place.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.running = Some(run(self.config.clone()).await);
    }

    pub(crate) async fn stop(&mut self) {
        let Running { scheduler, serving } = self.running.take().expect("it is stopped already");
        scheduler.shutdown();
        serving.await.unwrap();
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.running.as_ref().expect("it is stopped").scheduler
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.config.secrets_dir.clone()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.config.state_dir.join("scheduler.db")
    }

    /// Returns the sturdy ref in a cap file.
    pub(crate) fn cap(&self, name: &str) -> SturdyRef {
        cap_file::load(self.secrets().join(name)).unwrap()
    }

    /// Connects to a service, as a vat of its own.
    pub(crate) async fn connect(&self, cap: &SturdyRef) -> Connected {
        Connected::to(cap).await.unwrap()
    }

    pub(crate) async fn admin(&self) -> (Admin, Connected) {
        let connected = self.connect(&self.cap("admin.cap")).await;
        (Admin::from_client(connected.client.clone()), connected)
    }

    pub(crate) async fn pool_admin(&self) -> (PoolAdmin, Connected) {
        let (admin, connected) = self.admin().await;
        (admin.pool("pool").await.unwrap(), connected)
    }

    /// Adds a client, and connects it.
    pub(crate) async fn client(&self, name: &str) -> (Submission, Connected) {
        let cap = self.client_cap(name).await;
        let connected = self.connect(&cap).await;
        (Submission::from_client(connected.client.clone()), connected)
    }

    /// Adds a client, and returns its sturdy ref.
    pub(crate) async fn client_cap(&self, name: &str) -> SturdyRef {
        let (admin, _connected) = self.admin().await;
        admin
            .add_client(name)
            .await
            .unwrap()
            .save()
            .await
            .unwrap()
            .parse()
            .unwrap()
    }

    /// What an operator sees of the pool.
    pub(crate) async fn show(&self) -> String {
        let (pool, _connected) = self.pool_admin().await;
        pool.show().await.unwrap()
    }

    /// Waits until an operator sees `text` in the state of the pool.
    pub(crate) async fn shows(&self, text: &str) {
        until(&format!("show has {text:?}"), async || {
            self.show().await.contains(text)
        })
        .await;
    }

    /// Allows a warning that has `text` in it. It must come.
    pub(crate) fn expect_warning(&self, text: &str) {
        self.expected.borrow_mut().push(text.to_owned());
    }

    /// Ends the story: nothing may be left in the pool, and nothing have gone wrong unnoticed.
    pub(crate) async fn finish(mut self) {
        until("the pool is idle", async || {
            let state = self.show().await.replace("(ready)", "(backlog)");
            state.contains("queue: (backlog) []\nregistered:\ndisconnected:")
        })
        .await;
        // The check sees something: if a worker registered, one was released.
        assert!(self.logs.has("Release worker") || !self.logs.has("Registered new worker"));
        // Clients that are still connected will warn that their server has gone.
        let mut warnings = self.logs.warnings();
        self.stop().await;
        for expected in self.expected.borrow().iter() {
            let found = warnings
                .iter()
                .position(|warning| warning.contains(expected));
            warnings.remove(found.unwrap_or_else(|| panic!("no warning about {expected:?}")));
        }
        assert_eq!(warnings, Vec::<String>::new(), "unexpected warnings");
    }
}

/// Returns a configuration with everything in `directory`, and one pool, `pool`.
pub(crate) fn config_in(directory: &Path) -> SchedulerConfig {
    let secrets_dir = directory.join("secrets");
    std::fs::create_dir_all(&secrets_dir).unwrap();
    SchedulerConfig {
        state_dir: directory.join("state"),
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
        connections: ServeOptions::default(),
    }
}

async fn run(config: SchedulerConfig) -> Running {
    let scheduler = Rc::new(Scheduler::start(config).await.unwrap());
    let task = Rc::clone(&scheduler);
    let serving = tokio::task::spawn_local(async move { task.run().await });
    Running { scheduler, serving }
}

/// A connection, and the service at its other end. Dropping it (and what was got from it) breaks it.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) session: Session,
}

impl Connected {
    pub(crate) async fn to(cap: &SturdyRef) -> Result<Self, vat::ConnectError> {
        let session = Dialer::new(DialOptions::default()).connect(cap).await?;
        Ok(Self {
            client: session.bootstrap(),
            session,
        })
    }
}

/// Collects progress reports.
#[derive(Default)]
pub(crate) struct Reports(RefCell<Vec<String>>);

impl Reports {
    pub(crate) fn new() -> (Rc<Self>, Progress) {
        let reports = Rc::new(Self::default());
        (Rc::clone(&reports), Progress::serve(reports))
    }

    pub(crate) fn get(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

impl ServeProgress for Reports {
    async fn report(self: Rc<Self>, status: String) -> Result<(), RpcError> {
        self.0.borrow_mut().push(status);
        Ok(())
    }
}
