//! Workers whose builds end as the test decides.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use cluster_api::{
    Description, Job, Metric, MetricsSource, Queue, Registration, RpcError, ServeWorker, Worker,
};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use vat::SturdyRef;

use crate::connected::Connected;
use crate::mock_builder::MockBuilder;
use crate::mock_job::MockJob;
use crate::site::Site;

/// How a worker answers a request to update itself.
#[derive(Clone, Debug)]
pub enum UpdateReply {
    /// It takes no more jobs, and waits for the test to drop it.
    Leave,
    /// It refuses, with this reason.
    Refuse(&'static str),
}

/// A connected worker. Dropping it closes its connection.
pub struct MockWorker {
    /// The scheduler's queue for it.
    pub queue: Queue,
    agent: JoinHandle<()>,
    object: Rc<WorkerObject>,
    connected: Connected,
}

struct WorkerObject {
    update_reply: RefCell<UpdateReply>,
    /// Notified when its agent is to stop.
    stop: Notify,
    is_updating: Cell<bool>,
    last_description: RefCell<Option<Description>>,
    /// All its jobs, in order.
    jobs: RefCell<Vec<Rc<MockJob>>>,
    /// Whether operators can cancel its jobs, which they cannot with a worker of upstream's.
    cancels_jobs: Cell<bool>,
    /// `None` while it leaves requests for metrics unanswered.
    metrics: RefCell<Option<Result<Metric, RpcError>>>,
    /// How often its metrics were requested.
    scrapes: Cell<usize>,
    /// Whether it leaves pings unanswered.
    is_frozen: Cell<bool>,
    thawed: Notify,
}

impl Default for WorkerObject {
    fn default() -> Self {
        Self {
            update_reply: RefCell::new(UpdateReply::Leave),
            stop: Notify::new(),
            is_updating: Cell::default(),
            last_description: RefCell::default(),
            jobs: RefCell::default(),
            cancels_jobs: Cell::default(),
            metrics: RefCell::new(Some(Err(RpcError::failed("no metrics here")))),
            scrapes: Cell::default(),
            is_frozen: Cell::default(),
            thawed: Notify::new(),
        }
    }
}

impl MockWorker {
    /// Connects a worker that runs up to `capacity` jobs.
    pub async fn start(site: &Site, name: &str, capacity: i32, builder: &Rc<MockBuilder>) -> Self {
        Self::start_in(&site.cap("pool-pool.cap"), name, capacity, builder).await
    }

    /// Connects a worker to a pool.
    pub async fn start_in(
        pool: &SturdyRef,
        name: &str,
        capacity: i32,
        builder: &Rc<MockBuilder>,
    ) -> Self {
        let connected = Connected::to(pool).await.unwrap();
        Self::start_over(connected, name, capacity, builder).await
    }

    /// Registers a worker over a connection to a pool.
    pub async fn start_over(
        connected: Connected,
        name: &str,
        capacity: i32,
        builder: &Rc<MockBuilder>,
    ) -> Self {
        let object = Rc::new(WorkerObject::default());
        let registration = Registration::from_client(connected.client.clone());
        let worker = Worker::serve(Rc::clone(&object));
        let queue = registration.register(name, worker, capacity).await.unwrap();
        let slots = Arc::new(Semaphore::new(usize::try_from(capacity).unwrap()));
        let agent = tokio::task::spawn_local(take_jobs(
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
            connected,
        }
    }

    /// Waits until its connection has ended, and returns why.
    pub async fn disconnected(&self) -> String {
        self.connected.session.closed().await.extra
    }

    /// Lets operators cancel its jobs by their numbers. Without this, it is like a worker of upstream's.
    pub fn enable_cancellation(&self) {
        self.object.cancels_jobs.set(true);
    }

    /// Sets the reply to a request to update itself.
    pub fn on_update(&self, reply: UpdateReply) {
        self.object.update_reply.replace(reply);
    }

    /// Waits until it was asked to update itself and has stopped taking jobs. The test then drops it.
    pub async fn until_updating(&self) {
        crate::until("the worker is asked to update", async || {
            self.object.is_updating.get()
        })
        .await;
    }

    /// Sets the reply to a request for metrics; `None` for no reply at all.
    pub fn on_metrics(&self, reply: Option<Result<Metric, RpcError>>) {
        self.object.metrics.replace(reply);
    }

    /// Returns how often its metrics were requested.
    pub fn count_scrapes(&self) -> usize {
        self.object.scrapes.get()
    }

    /// Returns the description of its last job.
    pub fn last_description(&self) -> Option<Description> {
        self.object.last_description.borrow().clone()
    }

    /// Leaves pings unanswered until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.object.is_frozen.set(true);
    }

    /// Answers pings again.
    pub fn thaw(&self) {
        self.object.is_frozen.set(false);
        self.object.thawed.notify_waiters();
    }

    /// Takes no more jobs, like a worker that is shutting down.
    pub async fn stop_taking_jobs(&self) {
        self.agent.abort();
        self.queue.set_active(false).await.unwrap();
    }

    /// Closes the connection once everything received over it is dropped.
    pub fn disconnect(self) {
        self.agent.abort();
    }

    /// Breaks the connection at once, as if the machine had failed.
    pub fn crash(self) {
        self.connected.session.close("machine lost");
    }
}

impl Drop for MockWorker {
    fn drop(&mut self) {
        self.agent.abort();
    }
}

/// Takes and runs jobs until the connection is lost.
async fn take_jobs(
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
        let job = Rc::new(MockJob::new(&builder));
        let popped = tokio::select! {
            popped = queue.pop(Job::serve(Rc::clone(&job))) => popped,
            () = object.stop.notified() => return,
        };
        let Ok(description) = popped else { return };
        object.last_description.replace(Some(description.clone()));
        object.jobs.borrow_mut().push(Rc::clone(&job));
        let name = name.clone();
        tokio::task::spawn_local(async move {
            job.build(&name, &description).await;
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
        let reply = self.update_reply.borrow().clone();
        match reply {
            UpdateReply::Leave => {
                self.is_updating.set(true);
                self.stop.notify_waiters();
                std::future::pending().await
            }
            UpdateReply::Refuse(reason) => Err(RpcError::failed(reason)),
        }
    }

    async fn additional_metric(self: Rc<Self>, name: String) -> Result<Option<Metric>, RpcError> {
        while self.is_frozen.get() {
            self.thawed.notified().await;
        }
        let is_known = name == "raid";
        Ok(is_known.then(|| Metric {
            content_type: "text/raid".to_owned(),
            data: "raid 1\n".to_owned(),
        }))
    }

    async fn cancel_job(self: Rc<Self>, nth: u64) -> Result<(), RpcError> {
        if !self.cancels_jobs.get() {
            return Err(RpcError::unimplemented("jobs cannot be cancelled here"));
        }
        let index = usize::try_from(nth - 1).unwrap();
        self.jobs.borrow()[index].cancel_by_operator();
        Ok(())
    }
}

/// A worker that reports nothing and refuses to update itself.
pub struct SilentWorker;

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
