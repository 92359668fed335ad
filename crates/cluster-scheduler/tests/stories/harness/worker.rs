//! Workers whose builds do as the test says.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use cluster_api::{
    Action, CustomJob, Description, Dockerfile, Job, LogChunk, Metric, MetricsSource, Queue,
    Registration, RpcError, ServeJob, ServeWorker, Worker,
};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinHandle;
use vat::SturdyRef;

use super::{Connected, Site};

/// How a build ends: what it logs last, and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Failed(&'static str),
}

/// Decides how builds end, by the Dockerfile.
#[derive(Default)]
pub(crate) struct MockBuilder {
    outcomes: RefCell<HashMap<String, Pending>>,
    /// What has been started, in order, as "worker dockerfile".
    started: RefCell<Vec<String>>,
    running: Cell<usize>,
}

struct Pending {
    decide: Option<oneshot::Sender<Outcome>>,
    decided: Option<oneshot::Receiver<Outcome>>,
}

impl MockBuilder {
    pub(crate) fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Lets the build of `dockerfile` end, now or when it comes. Each can be said once.
    pub(crate) fn end(&self, dockerfile: &str, outcome: Outcome) {
        let decide = self.with(dockerfile, |pending| pending.decide.take());
        decide
            .expect("said twice")
            .send(outcome)
            .expect("the build is over already");
    }

    pub(crate) fn started(&self) -> Vec<String> {
        self.started.borrow().clone()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.get()
    }

    /// Waits until the build of `dockerfile` has started.
    pub(crate) async fn starts(&self, dockerfile: &str) {
        let suffix = format!(" {dockerfile}");
        super::until(&format!("{dockerfile} starts"), async || {
            self.started
                .borrow()
                .iter()
                .any(|started| started.ends_with(&suffix))
        })
        .await;
    }

    async fn outcome(&self, dockerfile: &str) -> Outcome {
        let decided = self.with(dockerfile, |pending| pending.decided.take());
        decided
            .expect("built twice")
            .await
            .expect("the test is over")
    }

    fn with<T>(&self, dockerfile: &str, f: impl FnOnce(&mut Pending) -> T) -> T {
        let mut outcomes = self.outcomes.borrow_mut();
        f(outcomes.entry(dockerfile.to_owned()).or_insert_with(|| {
            let (decide, decided) = oneshot::channel();
            Pending {
                decide: Some(decide),
                decided: Some(decided),
            }
        }))
    }
}

/// What a worker answers when it is told to update itself.
#[derive(Clone, Debug)]
pub(crate) enum Update {
    /// It goes away.
    Leave,
    Refuse(&'static str),
}

/// A connected worker. Dropping it breaks its connection.
pub(crate) struct MockWorker {
    pub(crate) queue: Queue,
    agent: JoinHandle<()>,
    object: Rc<WorkerObject>,
    _connected: Rc<Connected>,
}

struct WorkerObject {
    update: RefCell<Update>,
    /// Told when its agent is to stop.
    stop: Notify,
    told_to_update: Cell<bool>,
    last: RefCell<Option<Description>>,
    /// `None` while it does not answer when asked for metrics.
    metrics: RefCell<Option<Result<Metric, RpcError>>>,
    /// How often it was asked for them.
    scrapes: Cell<usize>,
    /// Whether it leaves pings without an answer.
    frozen: Cell<bool>,
    thawed: Notify,
}

impl MockWorker {
    /// Connects a worker that runs up to `capacity` jobs.
    pub(crate) async fn start(
        site: &Site,
        name: &str,
        capacity: i32,
        builder: &Rc<MockBuilder>,
    ) -> Self {
        Self::start_in(&site.cap("pool-pool.cap"), name, capacity, builder).await
    }

    pub(crate) async fn start_in(
        pool: &SturdyRef,
        name: &str,
        capacity: i32,
        builder: &Rc<MockBuilder>,
    ) -> Self {
        let connected = Connected::to(pool).await.unwrap();
        Self::start_over(connected, name, capacity, builder).await
    }

    /// Registers a worker over a connection that is there.
    pub(crate) async fn start_over(
        connected: Connected,
        name: &str,
        capacity: i32,
        builder: &Rc<MockBuilder>,
    ) -> Self {
        let object = Rc::new(WorkerObject {
            update: RefCell::new(Update::Leave),
            stop: Notify::new(),
            told_to_update: Cell::new(false),
            last: RefCell::default(),
            metrics: RefCell::new(Some(Err(RpcError::failed("no metrics here")))),
            scrapes: Cell::new(0),
            frozen: Cell::new(false),
            thawed: Notify::new(),
        });
        let registration = Registration::from_client(connected.client.clone());
        let worker = Worker::serve(Rc::clone(&object));
        let queue = registration.register(name, worker, capacity).await.unwrap();
        let slots = Arc::new(Semaphore::new(usize::try_from(capacity).unwrap()));
        let agent = tokio::task::spawn_local(run(
            name.to_owned(),
            queue.clone(),
            slots,
            Rc::clone(builder),
            Rc::clone(&object),
        ));
        Self {
            queue,
            agent,
            object,
            _connected: Rc::new(connected),
        }
    }

    pub(crate) fn on_update(&self, update: Update) {
        self.object.update.replace(update);
    }

    /// Waits until it is told to update itself, which it then waits to be dropped for.
    pub(crate) async fn told_to_update(&self) {
        super::until("it is told to update", async || {
            self.object.told_to_update.get()
        })
        .await;
    }

    /// Decides what it answers when asked for metrics; `None` for nothing at all.
    pub(crate) fn on_metrics(&self, answer: Option<Result<Metric, RpcError>>) {
        self.object.metrics.replace(answer);
    }

    /// Returns how often it was asked for metrics.
    pub(crate) fn count_scrapes(&self) -> usize {
        self.object.scrapes.get()
    }

    /// Returns what it was told to do last.
    pub(crate) fn last_description(&self) -> Option<Description> {
        self.object.last.borrow().clone()
    }

    /// Lets pings go without an answer, until it is thawed.
    pub(crate) fn freeze(&self) {
        self.object.frozen.set(true);
    }

    pub(crate) fn thaw(&self) {
        self.object.frozen.set(false);
        self.object.thawed.notify_waiters();
    }

    /// Breaks the connection, as if the network had failed.
    pub(crate) fn disconnect(self) {
        self.agent.abort();
    }
}

impl Drop for MockWorker {
    fn drop(&mut self) {
        self.agent.abort();
    }
}

/// Takes and runs jobs until the connection is lost.
async fn run(
    name: String,
    queue: Queue,
    slots: Arc<Semaphore>,
    builder: Rc<MockBuilder>,
    object: Rc<WorkerObject>,
) {
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot.unwrap(),
            () = object.stop.notified() => return,
        };
        let job = Rc::new(MockJob::default());
        let popped = tokio::select! {
            popped = queue.pop(Job::serve(Rc::clone(&job))) => popped,
            () = object.stop.notified() => return,
        };
        let Ok(description) = popped else { return };
        object.last.replace(Some(description.clone()));
        let (name, builder) = (name.clone(), Rc::clone(&builder));
        tokio::task::spawn_local(async move {
            job.build(&name, &description, &builder).await;
            drop(slot);
        });
    }
}

impl ServeWorker for WorkerObject {
    async fn metrics(self: Rc<Self>, source: MetricsSource) -> Result<Metric, RpcError> {
        self.scrapes.set(self.scrapes.get() + 1);
        let metrics = self.metrics.borrow().clone();
        let mut metric = match metrics {
            Some(metrics) => metrics?,
            None => std::future::pending().await,
        };
        metric.data += &format!("# {source:?}\n");
        Ok(metric)
    }

    async fn self_update(self: Rc<Self>) -> Result<Infallible, RpcError> {
        let update = self.update.borrow().clone();
        match update {
            Update::Leave => {
                self.told_to_update.set(true);
                self.stop.notify_waiters();
                std::future::pending().await
            }
            Update::Refuse(reason) => Err(RpcError::failed(reason)),
        }
    }

    async fn additional_metric(self: Rc<Self>, name: String) -> Result<Option<Metric>, RpcError> {
        while self.frozen.get() {
            self.thawed.notified().await;
        }
        let known = name == "raid";
        Ok(known.then(|| Metric {
            content_type: "text/raid".to_owned(),
            data: "raid 1\n".to_owned(),
        }))
    }
}

/// A job with its log in memory.
#[derive(Default)]
pub(crate) struct MockJob {
    log: RefCell<Vec<u8>>,
    result: RefCell<Option<Result<String, RpcError>>>,
    changed: Notify,
    cancelled: Notify,
}

impl MockJob {
    async fn build(&self, worker: &str, description: &Description, builder: &MockBuilder) {
        let name = self.announce(worker, description);
        builder
            .started
            .borrow_mut()
            .push(format!("{worker} {name}"));
        builder.running.set(builder.running.get() + 1);
        let (last, result) = tokio::select! {
            outcome = builder.outcome(&name) => match outcome {
                Outcome::Ok => ("Job succeeded", Ok(String::new())),
                Outcome::Failed(why) => (why, Err("Build failed")),
            },
            () = self.cancelled.notified() => ("Job cancelled", Err("Build cancelled")),
        };
        builder.running.set(builder.running.get() - 1);
        self.print(last);
        self.result.replace(Some(result.map_err(RpcError::failed)));
        self.changed.notify_waiters();
    }

    /// Logs what is being built, and returns by which name the test knows it.
    fn announce(&self, worker: &str, description: &Description) -> String {
        self.print(&format!("Building on {worker}"));
        match &description.action {
            Action::Docker(build) => {
                let Dockerfile::Contents(name) = &build.dockerfile else {
                    panic!("no Dockerfile was given")
                };
                self.print(&format!("Building {name}"));
                name.clone()
            }
            Action::Custom(CustomJob { kind, payload }) => {
                let spec = super::client::spec_in(payload);
                self.print(&format!("Building job {kind}\nGot spec {spec}"));
                spec
            }
            Action::OBuilder(_) => panic!("no test builds specs"),
        }
    }

    fn print(&self, line: &str) {
        self.log.borrow_mut().extend(format!("{line}\n").bytes());
        self.changed.notify_waiters();
    }
}

impl ServeJob for MockJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        let start = usize::try_from(start).unwrap();
        loop {
            let changed = self.changed.notified();
            let bytes = self.log.borrow()[start..].to_vec();
            if !bytes.is_empty() || self.result.borrow().is_some() {
                let next = i64::try_from(start + bytes.len()).unwrap();
                return Ok(LogChunk { bytes, next });
            }
            changed.await;
        }
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        loop {
            let changed = self.changed.notified();
            let result = self.result.borrow().clone();
            if let Some(result) = result {
                return result;
            }
            changed.await;
        }
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.cancelled.notify_one();
        Ok(())
    }

    fn released(&self) {
        self.cancelled.notify_one();
    }
}

/// A worker that nobody asks anything.
pub(crate) struct SilentWorker;

impl ServeWorker for SilentWorker {
    async fn metrics(self: Rc<Self>, _source: MetricsSource) -> Result<Metric, RpcError> {
        Err(RpcError::failed("no metrics"))
    }

    async fn self_update(self: Rc<Self>) -> Result<Infallible, RpcError> {
        Err(RpcError::failed("no update"))
    }

    async fn additional_metric(self: Rc<Self>, _name: String) -> Result<Option<Metric>, RpcError> {
        Ok(None)
    }
}
