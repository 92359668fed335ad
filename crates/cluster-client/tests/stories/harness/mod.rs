//! A scheduler in this process, with mock workers, and the client under test beside them.
//!
//! It listens at a Unix socket, so that it is at the same address when it is started again.

mod worker;

use std::rc::Rc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use cluster_api::{Action, Admin, Description, DockerBuild, Dockerfile};
use cluster_client::{Cluster, Log, LogEvent, Options};
use cluster_scheduler::{
    DEFAULT_UPDATE_TIMEOUT, FileName, KeySource, Limits, Scheduler, SchedulerConfig, Transport,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use vat::{DialOptions, Dialer, ServeOptions, SturdyRef, cap_file};

pub(crate) use self::worker::{Builds, MockWorker, Outcome, PIECE};

/// How long a test may take before it counts as stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Runs a test with everything on one thread.
pub(crate) fn story(test: impl Future<Output = ()>) {
    let (_finished, running) = std::sync::mpsc::channel::<()>();
    let (give_up, stuck) = tokio::sync::oneshot::channel();
    // By the wall clock: a test may stop the runtime's.
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

/// Waits until `done` holds.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

/// A scheduler with one pool, `pool`.
pub(crate) struct Site {
    _directory: TempDir,
    config: SchedulerConfig,
    /// `None` while it is stopped.
    running: Option<(Rc<Scheduler>, JoinHandle<()>)>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secrets_dir = directory.path().join("secrets");
        std::fs::create_dir(&secrets_dir).unwrap();
        let socket = directory.path().join("socket");
        let mut site = Self {
            config: SchedulerConfig {
                state_dir: directory.path().join("state"),
                key: KeySource::File(secrets_dir.join("key.pem")),
                secrets_dir,
                listen: format!("unix:{}", socket.display()).parse().unwrap(),
                public: None,
                transport: Transport::Tls,
                pools: [FileName::new("pool").unwrap()].into(),
                default_clients: Vec::new(),
                metrics: None,
                update_timeout: DEFAULT_UPDATE_TIMEOUT,
                limits: Limits::default(),
                connections: ServeOptions::default(),
            },
            _directory: directory,
            running: None,
        };
        site.start_again().await;
        site
    }

    pub(crate) async fn start_again(&mut self) {
        let scheduler = Rc::new(Scheduler::start(self.config.clone()).await.unwrap());
        let task = Rc::clone(&scheduler);
        let serving = tokio::task::spawn_local(async move { task.run().await });
        self.running = Some((scheduler, serving));
    }

    pub(crate) async fn stop(&mut self) {
        let (scheduler, serving) = self.running.take().expect("it is stopped already");
        // As after a signal.
        scheduler.drain(Duration::ZERO).await;
        scheduler.shutdown();
        serving.await.unwrap();
    }

    /// Returns the sturdy ref in a cap file.
    pub(crate) fn cap(&self, name: &str) -> SturdyRef {
        cap_file::load(self.config.secrets_dir.join(name)).unwrap()
    }

    /// Connects the client under test with default options, except that it reconnects soon.
    pub(crate) async fn cluster(&self) -> Cluster {
        self.cluster_with(Options::default()).await
    }

    pub(crate) async fn cluster_with(&self, options: Options) -> Cluster {
        let sturdy_ref = self.cap("submission.cap");
        Cluster::connect(sturdy_ref, reconnecting_soon(options))
            .await
            .unwrap()
    }

    pub(crate) async fn worker(
        &self,
        name: &str,
        capacity: i32,
        builds: &Rc<Builds>,
    ) -> MockWorker {
        MockWorker::start(&self.cap("pool-pool.cap"), name, capacity, builds).await
    }

    /// Calls `ask` with the capability of an operator.
    pub(crate) async fn as_admin<T>(&self, ask: impl AsyncFnOnce(Admin) -> T) -> T {
        let session = Dialer::new(DialOptions::default())
            .connect(&self.cap("admin.cap"))
            .await
            .unwrap();
        ask(Admin::from_client(session.bootstrap())).await
    }

    /// Returns the state of the pool, as an operator sees it.
    pub(crate) async fn show(&self) -> String {
        self.as_admin(async |admin| admin.pool("pool").show().await.unwrap())
            .await
    }

    /// Returns how many jobs wait at the scheduler.
    pub(crate) async fn waiting(&self) -> usize {
        let show = self.show().await;
        // The running jobs come after the clients.
        let queues = show.split("\nclients:").next().unwrap_or_default();
        queues.matches("submission:").count()
    }

    pub(crate) async fn until_waiting(&self, jobs: usize) {
        until(&format!("{jobs} jobs wait"), async || {
            self.waiting().await == jobs
        })
        .await;
    }
}

/// Returns the options with a short delay before reconnecting: a test does not wait for ten seconds.
pub(crate) fn reconnecting_soon(options: Options) -> Options {
    Options {
        reconnect_interval: Duration::from_millis(10),
        ..options
    }
}

/// Returns the description of a job that "builds" `name`.
pub(crate) fn build(name: &str) -> Description {
    Description::new(Action::Docker(DockerBuild {
        dockerfile: Dockerfile::Contents(name.to_owned()),
        ..DockerBuild::default()
    }))
}

/// Reads a log to its end, as a person would see it.
pub(crate) async fn read(mut log: Log) -> String {
    let mut text = String::new();
    while let Some(event) = log.next().await {
        text += &match event {
            LogEvent::Bytes(_) => event.to_string(),
            event => format!("[{event}]\n"),
        };
    }
    text
}
