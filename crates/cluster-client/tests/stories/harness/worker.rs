//! Mock workers, whose builds end as the test decides.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use cluster_api::{
    Action, CancelledBy, Description, Dockerfile, Job, LogChunk, Metric, MetricsSource, Queue,
    Registration, RpcError, ServeJob, ServeWorker, Worker,
};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use vat::{DialOptions, Dialer, Session, SturdyRef};

/// The most that these workers give of a log in one answer, in bytes.
pub(crate) const PIECE: usize = 256 * 1024;

/// How a build ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Output(&'static str),
    Failed,
    /// Its worker stops it by itself.
    Stopped,
}

/// Decides how builds end, by name, and records them.
#[derive(Default)]
pub(crate) struct Builds {
    outcomes: RefCell<HashMap<String, Outcome>>,
    /// The builds that were started, in order, as "worker name".
    started: RefCell<Vec<String>>,
    cancelled: RefCell<Vec<String>>,
    /// The number of bytes of each log before its last line.
    pub(crate) log_size: Cell<usize>,
    /// The number of pieces of logs that were requested.
    pub(crate) pieces: Cell<usize>,
    changed: Notify,
}

impl Builds {
    pub(crate) fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Ends each build of `name`, now or when it starts.
    pub(crate) fn end(&self, name: &str, outcome: Outcome) {
        self.outcomes.borrow_mut().insert(name.to_owned(), outcome);
        self.changed.notify_waiters();
    }

    pub(crate) fn started(&self) -> Vec<String> {
        self.started.borrow().clone()
    }

    /// Waits until a build has started, named as "worker name".
    pub(crate) async fn starts(&self, build: &str) {
        self.until(|this| this.started.borrow().iter().any(|started| started == build))
            .await;
    }

    /// Waits until a build has been cancelled, named as "worker name".
    pub(crate) async fn is_cancelled(&self, build: &str) {
        self.until(|this| this.cancelled.borrow().iter().any(|other| other == build))
            .await;
    }

    async fn outcome(&self, name: &str) -> Outcome {
        self.until(|this| this.outcomes.borrow().contains_key(name))
            .await;
        self.outcomes.borrow()[name]
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if holds(self) {
                return;
            }
            changed.await;
        }
    }

    fn note(&self, list: &RefCell<Vec<String>>, build: String) {
        list.borrow_mut().push(build);
        self.changed.notify_waiters();
    }
}

/// A connected worker.
pub(crate) struct MockWorker {
    session: Session,
    agent: JoinHandle<()>,
}

impl MockWorker {
    pub(crate) async fn start(
        pool: &SturdyRef,
        name: &str,
        capacity: i32,
        builds: &Rc<Builds>,
    ) -> Self {
        let dialer = Dialer::new(DialOptions::default());
        let session = dialer.connect(pool).await.unwrap();
        let registration = Registration::from_client(session.bootstrap());
        let jobs = Rc::new(Jobs::default());
        let worker = Worker::serve(Rc::clone(&jobs));
        let queue = registration.register(name, worker, capacity).await.unwrap();
        let slots = Arc::new(Semaphore::new(usize::try_from(capacity).unwrap()));
        let taking = take_jobs(name.to_owned(), queue, slots, Rc::clone(builds), jobs);
        let agent = tokio::task::spawn_local(taking);
        Self { session, agent }
    }

    /// Requests no more jobs, as when it is shutting down.
    pub(crate) fn take_no_more(&self) {
        self.agent.abort();
    }

    /// Loses the connection, as if the machine had burned down.
    pub(crate) fn burn_down(self) {
        self.session.close("fire");
    }
}

impl Drop for MockWorker {
    fn drop(&mut self) {
        self.agent.abort();
    }
}

async fn take_jobs(
    name: String,
    queue: Queue,
    slots: Arc<Semaphore>,
    builds: Rc<Builds>,
    jobs: Rc<Jobs>,
) {
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
        let job = Rc::new(MockJob::new(&builds));
        let Ok(description) = queue.pop(Job::serve(Rc::clone(&job))).await else {
            return;
        };
        jobs.0.borrow_mut().push(Rc::clone(&job));
        let name = name.clone();
        tokio::task::spawn_local(async move {
            job.build(&name, &description).await;
            drop(slot);
        });
    }
}

/// The jobs of one worker, in order. An operator may cancel them; nothing else is asked of the worker in these stories.
#[derive(Default)]
struct Jobs(RefCell<Vec<Rc<MockJob>>>);

impl ServeWorker for Jobs {
    async fn metrics(self: Rc<Self>, _source: MetricsSource) -> Result<Metric, RpcError> {
        Err(RpcError::failed("no metrics here"))
    }

    async fn self_update(self: Rc<Self>) -> Result<Infallible, RpcError> {
        Err(RpcError::failed("no updates here"))
    }

    async fn additional_metric(self: Rc<Self>, _name: String) -> Result<Option<Metric>, RpcError> {
        Ok(None)
    }

    async fn cancel_job(self: Rc<Self>, nth: u64) -> Result<(), RpcError> {
        let index = usize::try_from(nth - 1).unwrap();
        let job = Rc::clone(&self.0.borrow()[index]);
        job.is_cancelled_by_operator.set(true);
        job.cancelled.notify_one();
        Ok(())
    }
}

/// A job with its log in memory.
struct MockJob {
    builds: Rc<Builds>,
    log: RefCell<Vec<u8>>,
    result: RefCell<Option<Result<String, RpcError>>>,
    changed: Notify,
    cancelled: Notify,
    is_cancelled_by_operator: Cell<bool>,
}

impl MockJob {
    fn new(builds: &Rc<Builds>) -> Self {
        Self {
            builds: Rc::clone(builds),
            log: RefCell::default(),
            result: RefCell::default(),
            changed: Notify::new(),
            cancelled: Notify::new(),
            is_cancelled_by_operator: Cell::default(),
        }
    }

    async fn build(&self, worker: &str, description: &Description) {
        let Action::Docker(build) = &description.action else {
            panic!("no story builds {description:?}")
        };
        let Dockerfile::Contents(name) = &build.dockerfile else {
            panic!("no Dockerfile was given")
        };
        let builds = &self.builds;
        self.print(&format!("Building on {worker}"));
        self.log
            .borrow_mut()
            .extend(vec![b'.'; builds.log_size.get()]);
        builds.note(&builds.started, format!("{worker} {name}"));
        let (last, result) = tokio::select! {
            outcome = builds.outcome(name) => match outcome {
                Outcome::Output(output) => ("Job succeeded", Ok(output.to_owned())),
                Outcome::Failed => ("oh no", Err("Build failed")),
                Outcome::Stopped => ("Job cancelled", Err("Build cancelled")),
            },
            () = self.cancelled.notified() => {
                builds.note(&builds.cancelled, format!("{worker} {name}"));
                ("Job cancelled", Err("Build cancelled"))
            }
        };
        self.print(last);
        self.result.replace(Some(result.map_err(RpcError::failed)));
        self.changed.notify_waiters();
    }

    fn print(&self, line: &str) {
        self.log.borrow_mut().extend(format!("{line}\n").bytes());
        self.changed.notify_waiters();
    }
}

impl ServeJob for MockJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        if start >= 0 {
            self.builds.pieces.set(self.builds.pieces.get() + 1);
        }
        let length = i64::try_from(self.log.borrow().len()).unwrap();
        let from_end = if start < 0 { length } else { 0 };
        let start = usize::try_from((from_end + start).max(0)).unwrap();
        loop {
            let changed = self.changed.notified();
            let bytes: Vec<u8> = {
                let log = self.log.borrow();
                log.iter().skip(start).take(PIECE).copied().collect()
            };
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

    /// Reports what the result does not: that an operator cancelled it. Else it is like a job of upstream's worker.
    async fn outcome(self: Rc<Self>) -> Result<cluster_api::Outcome, RpcError> {
        match self.is_cancelled_by_operator.get() {
            true => Ok(cluster_api::Outcome::Cancelled(CancelledBy::Operator)),
            false => Err(RpcError::unimplemented("Unknown interface 1UL")),
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
