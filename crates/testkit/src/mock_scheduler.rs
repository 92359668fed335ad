//! A scheduler for one worker, whose jobs come from the test.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use cluster_api::{
    Description, EncodedDescription, Job, PauseReason, Queue, Registration, RpcError, ServeQueue,
    ServeRegistration, Worker,
};
use tokio::sync::{Notify, oneshot, watch};

/// A pop that waits for a job.
type Pop = (Job, oneshot::Sender<Result<EncodedDescription, RpcError>>);

/// A scheduler with one pool, for one worker. It records what happens as [`events`](Self::events).
#[derive(Default)]
pub struct MockScheduler {
    /// What happened, in order: "registered NAME with CAPACITY", "refused", "pop", "active: BOOL", a pause reason as
    /// "KIND: PROBLEM", "stalling", "left".
    pub events: RefCell<Vec<String>>,
    pops: RefCell<VecDeque<Pop>>,
    worker: RefCell<Option<Worker>>,
    /// The job to send when the worker becomes inactive, as if the two messages had crossed.
    pub late_job: RefCell<Option<Description>>,
    /// The job that [`late_job`](Self::late_job) became.
    pub sent_late_job: RefCell<Option<Job>>,
    /// How many registrations to refuse.
    pub refusals: Cell<u32>,
    /// Notified of every change.
    changed: Notify,
    connection: RefCell<Option<oneshot::Sender<()>>>,
    /// Whether it reads nothing that is sent to it.
    pub stalls: watch::Sender<bool>,
}

/// A worker's connection to a [`MockScheduler`] in the same process.
pub struct MockConnection {
    /// The service that registers workers.
    pub registration: Registration,
    /// Fails when the connection is lost.
    pub lost: oneshot::Receiver<()>,
}

impl MockScheduler {
    /// Connects the worker, in place of an earlier connection.
    pub fn connect(self: &Rc<Self>) -> MockConnection {
        let (connection, lost) = oneshot::channel();
        self.connection.replace(Some(connection));
        MockConnection {
            registration: Registration::serve(Rc::clone(self)),
            lost,
        }
    }

    /// Waits until it has read everything, which it does unless it stalls.
    pub async fn flushed(&self) {
        let mut stalls = self.stalls.subscribe();
        if *stalls.borrow() {
            self.record("stalling");
        }
        drop(stalls.wait_for(|stalls| !*stalls).await);
    }

    /// Waits until `event` has happened.
    pub async fn event(&self, event: &str) {
        self.until(|this| {
            let events = this.events.borrow();
            events.iter().any(|other| other == event).then_some(())
        })
        .await;
    }

    /// Assigns a job to the worker once it asks for one, and returns the job as its client receives it.
    pub async fn submit(&self, job: &Description) -> Job {
        self.submit_encoded(Ok(job.encode().unwrap())).await
    }

    /// Answers the worker's next pop, and returns the job as its client receives it.
    ///
    /// # Panics
    /// When the worker has cancelled the pop.
    pub async fn submit_encoded(&self, answer: Result<EncodedDescription, RpcError>) -> Job {
        let (job, resolver) = self.until(|this| this.pops.borrow_mut().pop_front()).await;
        assert!(
            resolver.send(answer).is_ok(),
            "the worker has cancelled its pop"
        );
        job
    }

    /// Waits until the worker asks for a job.
    pub async fn until_popping(&self) {
        self.until(|this| (this.pops() > 0).then_some(())).await;
    }

    /// Returns how many pops wait for a job.
    pub fn pops(&self) -> usize {
        self.pops.borrow().len()
    }

    /// Waits for the worker to register, and returns it.
    pub async fn worker(&self) -> Worker {
        self.until(|this| this.worker.borrow().clone()).await
    }

    /// Loses the connection, and with it everything received from the worker.
    pub fn disconnect(&self) {
        self.pops.borrow_mut().clear();
        self.worker.borrow_mut().take();
        drop(self.connection.borrow_mut().take());
    }

    fn record(&self, event: impl Into<String>) {
        self.events.borrow_mut().push(event.into());
        self.changed.notify_waiters();
    }

    /// Waits until `find` returns something.
    async fn until<T>(&self, mut find: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(found) = find(self) {
                return found;
            }
            changed.await;
        }
    }
}

impl ServeRegistration for MockScheduler {
    async fn register(
        self: Rc<Self>,
        name: String,
        worker: Worker,
        capacity: i32,
    ) -> Result<Queue, RpcError> {
        if self.refusals.get() > 0 {
            self.refusals.set(self.refusals.get() - 1);
            self.record("refused");
            return Err(RpcError::failed("Worker already registered!"));
        }
        *self.worker.borrow_mut() = Some(worker);
        self.record(format!("registered {name} with {capacity}"));
        Ok(Queue::serve(Rc::new(WorkerQueue(self))))
    }
}

struct WorkerQueue(Rc<MockScheduler>);

impl ServeQueue for WorkerQueue {
    async fn pop(self: Rc<Self>, job: Job) -> Result<EncodedDescription, RpcError> {
        let (resolver, answer) = oneshot::channel();
        self.0.pops.borrow_mut().push_back((job, resolver));
        self.0.record("pop");
        answer
            .await
            .unwrap_or_else(|_| Err(RpcError::disconnected("Worker disconnected")))
    }

    async fn set_active(self: Rc<Self>, active: bool) -> Result<(), RpcError> {
        let scheduler = &self.0;
        if !active && let Some(description) = scheduler.late_job.take() {
            let pop = scheduler.pops.borrow_mut().pop_front();
            let (job, resolver) = pop.expect("the worker has asked for a job");
            *scheduler.sent_late_job.borrow_mut() = Some(job);
            assert!(resolver.send(Ok(description.encode().unwrap())).is_ok());
        }
        scheduler.record(format!("active: {active}"));
        Ok(())
    }

    async fn set_pause_reasons(self: Rc<Self>, reasons: Vec<PauseReason>) -> Result<(), RpcError> {
        for PauseReason { kind, problem, .. } in reasons {
            self.0.record(format!("{kind}: {problem}"));
        }
        Ok(())
    }

    fn released(&self) {
        self.0.record("left");
    }
}
