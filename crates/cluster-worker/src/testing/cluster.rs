//! The other ends of a worker, as scripts: a scheduler that tests hand jobs to, and an executor whose builds end as
//! tests say.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

use cluster_api::{
    Action, Description, DockerBuild, Dockerfile, EncodedDescription, Job, PauseReason, Queue,
    Registration, RpcError, ServeQueue, ServeRegistration, Worker,
};
use futures::future::{FutureExt as _, LocalBoxFuture};
use tokio::sync::{Notify, oneshot, watch};

use crate::cancel::Cancel;
use crate::executor::{AdmittedBuild, AnyBuild, Backend, Executor, Fitness, NoRoom, Unfit};
use crate::log::JobLog;
use crate::outcome::JobError;
use crate::uplink::{Connection, Uplink};

/// A pop that waits for a job.
type Pop = (Job, oneshot::Sender<Result<EncodedDescription, RpcError>>);

/// A scheduler with one pool, for one worker.
#[derive(Default)]
pub(crate) struct Scheduler {
    /// What happened, in order.
    pub(crate) events: RefCell<Vec<String>>,
    pops: RefCell<VecDeque<Pop>>,
    worker: RefCell<Option<Worker>>,
    /// A job that it has sent when it hears that the worker wants no more.
    pub(crate) on_its_way: RefCell<Option<Description>>,
    /// The job that was made of it.
    pub(crate) sent: RefCell<Option<Job>>,
    /// How many registrations to refuse.
    pub(crate) refusals: Cell<u32>,
    /// Told of everything.
    changed: Notify,
    connection: RefCell<Option<oneshot::Sender<()>>>,
    /// Whether it takes nothing of what it is sent.
    pub(crate) stalls: watch::Sender<bool>,
}

impl Scheduler {
    fn note(&self, event: impl Into<String>) {
        self.events.borrow_mut().push(event.into());
        self.changed.notify_waiters();
    }

    /// Waits until something is the case.
    async fn until<T>(&self, mut find: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(found) = find(self) {
                return found;
            }
            changed.await;
        }
    }

    pub(crate) async fn event(&self, event: &str) {
        self.until(|this| {
            this.events
                .borrow()
                .iter()
                .any(|seen| seen == event)
                .then_some(())
        })
        .await;
    }

    /// Gives the worker a job when it asks for one. Returns the job, as its client gets it.
    pub(crate) async fn submit(&self, job: &Description) -> Job {
        self.submit_encoded(Ok(job.encode().unwrap())).await
    }

    pub(crate) async fn submit_encoded(&self, answer: Result<EncodedDescription, RpcError>) -> Job {
        let (job, resolver) = self.until(|this| this.pops.borrow_mut().pop_front()).await;
        assert!(
            resolver.send(answer).is_ok(),
            "the worker has taken back its request"
        );
        job
    }

    /// Waits until the worker asks for a job.
    pub(crate) async fn asked(&self) {
        self.until(|this| (this.pops() > 0).then_some(())).await;
    }

    pub(crate) fn pops(&self) -> usize {
        self.pops.borrow().len()
    }

    pub(crate) async fn worker(&self) -> Worker {
        self.until(|this| this.worker.borrow().clone()).await
    }

    /// Loses the connection, and so everything that the worker has given it.
    pub(crate) fn disconnect(&self) {
        self.pops.borrow_mut().clear();
        self.worker.borrow_mut().take();
        drop(self.connection.borrow_mut().take());
    }
}

impl ServeRegistration for Scheduler {
    async fn register(
        self: Rc<Self>,
        name: String,
        worker: Worker,
        capacity: i32,
    ) -> Result<Queue, RpcError> {
        if self.refusals.get() > 0 {
            self.refusals.set(self.refusals.get() - 1);
            self.note("refused");
            return Err(RpcError::failed("Worker already registered!"));
        }
        *self.worker.borrow_mut() = Some(worker);
        self.note(format!("registered {name} with {capacity}"));
        Ok(Queue::serve(Rc::new(WorkerQueue(self))))
    }
}

struct WorkerQueue(Rc<Scheduler>);

impl ServeQueue for WorkerQueue {
    async fn pop(self: Rc<Self>, job: Job) -> Result<EncodedDescription, RpcError> {
        let (resolver, answer) = oneshot::channel();
        self.0.pops.borrow_mut().push_back((job, resolver));
        self.0.note("pop");
        answer
            .await
            .unwrap_or_else(|_| Err(RpcError::disconnected("Worker disconnected")))
    }

    async fn set_active(self: Rc<Self>, active: bool) -> Result<(), RpcError> {
        let scheduler = &self.0;
        if !active && let Some(description) = scheduler.on_its_way.take() {
            let pop = scheduler.pops.borrow_mut().pop_front();
            let (job, resolver) = pop.expect("the worker has asked for a job");
            *scheduler.sent.borrow_mut() = Some(job);
            assert!(resolver.send(Ok(description.encode().unwrap())).is_ok());
        }
        scheduler.note(format!("active: {active}"));
        Ok(())
    }

    async fn set_pause_reasons(self: Rc<Self>, reasons: Vec<PauseReason>) -> Result<(), RpcError> {
        for PauseReason { kind, problem, .. } in reasons {
            self.0.note(format!("{kind}: {problem}"));
        }
        Ok(())
    }

    fn released(&self) {
        self.0.note("left");
    }
}

/// A way to a scheduler in the same program.
pub(crate) struct Direct(pub(crate) Rc<Scheduler>);

impl Uplink for Direct {
    fn connect(&self) -> LocalBoxFuture<'_, Result<Connection, String>> {
        async move {
            let (connection, lost) = oneshot::channel();
            *self.0.connection.borrow_mut() = Some(connection);
            let lost = async move {
                drop(lost.await);
                "connection closed".to_owned()
            };
            let registration = Registration::serve(Rc::clone(&self.0));
            let scheduler = Rc::clone(&self.0);
            let flushed = async move {
                let mut stalls = scheduler.stalls.subscribe();
                if *stalls.borrow() {
                    scheduler.note("stalling");
                }
                drop(stalls.wait_for(|stalls| !*stalls).await);
            };
            Ok(Connection {
                registration,
                lost: lost.boxed_local(),
                flushed: flushed.boxed_local(),
            })
        }
        .boxed_local()
    }
}

/// Builds Dockerfiles by looking up how that ends.
#[derive(Default)]
pub(crate) struct MockBuilder {
    outcomes: RefCell<BTreeMap<String, Result<String, JobError>>>,
    told: Notify,
    pub(crate) full: Cell<bool>,
    /// How often pruning fails.
    pub(crate) hopeless: Cell<bool>,
    pub(crate) building: watch::Sender<usize>,
    /// What speaks against taking jobs.
    pub(crate) unfit: watch::Sender<Option<Unfit>>,
    /// What is found to, when it is looked for.
    pub(crate) hidden: RefCell<Option<Unfit>>,
}

impl MockBuilder {
    /// Says how the build of `dockerfile` ends, now or later.
    pub(crate) fn finish(&self, dockerfile: &str, outcome: Result<String, JobError>) {
        self.outcomes
            .borrow_mut()
            .insert(dockerfile.to_owned(), outcome);
        self.told.notify_waiters();
    }

    async fn outcome(&self, dockerfile: &str) -> Result<String, JobError> {
        loop {
            let told = self.told.notified();
            if let Some(outcome) = self.outcomes.borrow().get(dockerfile) {
                return outcome.clone();
            }
            told.await;
        }
    }
}

impl Executor<DockerBuild> for MockBuilder {
    fn admit<'a>(
        &'a self,
        build: &'a DockerBuild,
        _job: &'a Description,
    ) -> Result<Box<dyn AnyBuild + 'a>, JobError> {
        let Dockerfile::Contents(text) = &build.dockerfile else {
            panic!("the mock builder cannot build {build:?}");
        };
        Ok(Box::new(MockBuild {
            builder: self,
            text,
        }))
    }
}

/// A build of the mock builder's.
struct MockBuild<'a> {
    builder: &'a MockBuilder,
    text: &'a str,
}

impl AdmittedBuild for MockBuild<'_> {
    async fn run(self, source: &Path, log: &JobLog, cancel: &Cancel) -> Result<String, JobError> {
        let Self { builder, text } = self;
        assert!(source.is_dir());
        log.line(format_args!("Building {text}"))?;
        builder.building.send_modify(|building| *building += 1);
        let outcome = tokio::select! {
            () = cancel.cancelled() => Err(JobError::Cancelled),
            outcome = builder.outcome(text) => outcome,
        };
        builder.building.send_modify(|building| *building -= 1);
        outcome
    }
}

impl Backend for MockBuilder {
    fn has_room(&self) -> LocalBoxFuture<'_, bool> {
        async move { !self.full.get() }.boxed_local()
    }

    fn fitness(&self) -> Option<Fitness> {
        Some(self.unfit.subscribe())
    }

    fn examine(&self) -> LocalBoxFuture<'_, ()> {
        async move {
            if let Some(found) = self.hidden.take() {
                self.unfit.send_replace(Some(found));
            }
        }
        .boxed_local()
    }

    fn make_room(&self) -> LocalBoxFuture<'_, Result<(), NoRoom>> {
        async move {
            assert_eq!(*self.building.borrow(), 0, "pruning while building");
            if self.hopeless.get() {
                return Err(NoRoom::StillLow);
            }
            self.full.set(false);
            Ok(())
        }
        .boxed_local()
    }
}

/// A job that builds a Dockerfile with this text.
pub(crate) fn build(dockerfile: &str) -> Description {
    Description::new(Action::Docker(DockerBuild {
        dockerfile: Dockerfile::Contents(dockerfile.into()),
        ..DockerBuild::default()
    }))
}

/// Reads a job's log to its end.
pub(crate) async fn read_log(job: &Job) -> String {
    let (mut text, mut start) = (String::new(), 0);
    loop {
        let chunk = job.log(start).await.unwrap();
        if chunk.bytes.is_empty() {
            return text;
        }
        text.push_str(str::from_utf8(&chunk.bytes).unwrap());
        start = chunk.next;
    }
}
