//! Connections between vats, and objects that write down what happens to them.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::{Client, FromClientHook as _};
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use cluster_api::{
    Action, Description, EncodedDescription, Job, LogChunk, OBuilderBuild, Queue, Registration,
    RpcError, ServeExplained, ServeJob, ServeQueue, ServeRegistration, ServeSubmission,
    ServeTicket, Submission, Ticket, TicketStatus, WeakJob, Worker,
};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local, yield_now};

use crate::pipe::Pipe;

/// Runs a test, which is stuck if it takes a minute.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(60), test).await };
    LocalSet::new()
        .block_on(&runtime, bounded)
        .expect("the test is stuck");
}

/// Lets everybody do what they can do now.
pub(crate) async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

/// A connection to a vat that offers one capability.
pub(crate) struct Connection {
    /// What it offers, as seen by the one who connected.
    pub(crate) client: Client,
    /// What went to the vat that offers it.
    pub(crate) to_server: Pipe,
    /// What came from it.
    pub(crate) to_client: Pipe,
}

impl Connection {
    /// Loses the connection.
    pub(crate) fn cut(&self) {
        self.to_server.close();
        self.to_client.close();
    }
}

/// Connects two vats, of which the server offers `offered`.
pub(crate) fn connect(offered: Client) -> Connection {
    let (to_server, to_client) = (Pipe::default(), Pipe::default());
    let vat = |reading: &Pipe, writing: &Pipe, side, offered| {
        let network = VatNetwork::new(reading.clone(), writing.clone(), side, Default::default());
        RpcSystem::new(Box::new(network), offered)
    };
    let server = vat(&to_server, &to_client, Side::Server, Some(offered));
    let mut client = vat(&to_client, &to_server, Side::Client, None);
    let bootstrap: Client = client.bootstrap(Side::Server);
    spawn_local(server);
    spawn_local(client);
    Connection {
        client: bootstrap,
        to_server,
        to_client,
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Events(Rc<RefCell<Vec<String>>>);

impl Events {
    pub(crate) fn add(&self, event: impl Into<String>) {
        self.0.borrow_mut().push(event.into());
    }

    /// Returns what happened since this was last called.
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// A job that answers at once, except for `result`, which waits until the test ends the job.
pub(crate) struct FakeJob {
    pub(crate) name: &'static str,
    pub(crate) events: Events,
    pub(crate) end: Notify,
}

impl FakeJob {
    pub(crate) fn new(name: &'static str, events: &Events) -> Rc<Self> {
        Rc::new(Self {
            name,
            events: events.clone(),
            end: Notify::new(),
        })
    }

    fn event(&self, event: &str) {
        self.events.add(format!("{}: {event}", self.name));
    }
}

impl ServeJob for FakeJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        self.event(&format!("log {start}"));
        Ok(LogChunk {
            bytes: self.name.into(),
            next: start + 1,
        })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        self.event("result");
        self.end.notified().await;
        Ok(format!("output of {}", self.name))
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.event("cancel");
        self.end.notify_waiters();
        Ok(())
    }

    fn released(&self) {
        self.event("released");
    }
}

impl Drop for FakeJob {
    fn drop(&mut self) {
        self.event("dropped");
    }
}

/// A ticket for a job that is known beforehand.
pub(crate) struct FakeTicket {
    pub(crate) job: Box<dyn Fn() -> Job>,
    pub(crate) events: Events,
}

impl ServeExplained for FakeTicket {}

impl ServeTicket for FakeTicket {
    async fn job(self: Rc<Self>) -> Result<Job, RpcError> {
        Ok((self.job)())
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.events.add("ticket: cancel");
        Ok(())
    }

    async fn status(self: Rc<Self>) -> Result<TicketStatus, RpcError> {
        Ok(TicketStatus::Assigned {
            worker: "w1".to_owned(),
            ahead: 3,
        })
    }

    fn number(&self) -> u64 {
        17
    }

    fn released(&self) {
        self.events.add("ticket: released");
    }
}

/// A scheduler of one worker and one client: it hands the job of the first pop to the first ticket.
#[derive(Default)]
pub(crate) struct FakeScheduler {
    pub(crate) events: Events,
    ticket: Cell<Option<Waiting>>,
    submitted: Notify,
    /// Whether it has weak references to the jobs that it hands over.
    pub(crate) has_weak: Cell<bool>,
    /// The one to the latest job.
    pub(crate) weak: RefCell<Option<WeakJob>>,
}

/// A submitted job that no worker has taken.
struct Waiting {
    description: EncodedDescription,
    resolver: cluster_api::JobResolver,
}

impl FakeScheduler {
    /// Breaks the promise of the job that waits.
    pub(crate) fn refuse(&self, error: RpcError) {
        let waiting = self.ticket.take().expect("no job waits");
        waiting.resolver.fail(error);
    }
}

impl ServeSubmission for FakeScheduler {
    async fn submit(
        self: Rc<Self>,
        pool: String,
        description: EncodedDescription,
        urgent: bool,
    ) -> Result<Ticket, RpcError> {
        self.events
            .add(format!("submit to {pool}, urgent {urgent}"));
        let refusal = RpcError::failed(format!("Pool ID {pool:?} not one of {{pool}}"));
        match pool.as_str() {
            "pool" => {}
            // As the scheduler does.
            "nosuch" => return Ok(Ticket::broken(refusal)),
            _ => return Err(refusal),
        }
        let (resolver, job) = Job::promise();
        self.ticket.set(Some(Waiting {
            description,
            resolver,
        }));
        self.submitted.notify_one();
        Ok(Ticket::serve(Rc::new(FakeTicket {
            job: Box::new(move || job.job()),
            events: self.events.clone(),
        })))
    }
}

impl ServeRegistration for FakeScheduler {
    async fn register(
        self: Rc<Self>,
        name: String,
        _worker: Worker,
        capacity: i32,
    ) -> Result<Queue, RpcError> {
        self.events
            .add(format!("register {name}, capacity {capacity}"));
        Ok(Queue::serve(self))
    }
}

impl ServeQueue for FakeScheduler {
    async fn pop(self: Rc<Self>, job: Job) -> Result<EncodedDescription, RpcError> {
        self.events.add("pop");
        self.submitted.notified().await;
        let waiting = self
            .ticket
            .take()
            .ok_or_else(|| RpcError::failed("nothing to do"))?;
        // The scheduler learns when the job ends, but does not hold it.
        let result = job.result();
        let job = match self.has_weak.get() {
            true => {
                let (job, weak) = job.with_weak();
                self.weak.replace(Some(weak));
                job
            }
            false => job,
        };
        waiting.resolver.resolve(job);
        let events = self.events.clone();
        spawn_local(async move {
            events.add(format!("finished: {:?}", result.await));
        });
        Ok(waiting.description)
    }

    async fn set_active(self: Rc<Self>, active: bool) -> Result<(), RpcError> {
        self.events.add(format!("active: {active}"));
        Ok(())
    }

    fn released(&self) {
        self.events.add("queue: released");
    }
}

impl FakeScheduler {
    /// Returns a submission of this scheduler, on a connection of its own.
    pub(crate) fn connect_client(self: &Rc<Self>) -> (Submission, Connection) {
        let connection = connect(Submission::serve(Rc::clone(self)).into_client());
        (
            Submission::from_client(connection.client.clone()),
            connection,
        )
    }

    /// Returns a registration of this scheduler, on a connection of its own.
    pub(crate) fn connect_worker(self: &Rc<Self>) -> (Registration, Connection) {
        let connection = connect(Registration::serve(Rc::clone(self)).into_client());
        (
            Registration::from_client(connection.client.clone()),
            connection,
        )
    }
}

/// A description that is recognised by its hint.
pub(crate) fn description(hint: &str) -> Description {
    let build = OBuilderBuild {
        spec: "((from busybox))".to_owned(),
    };
    Description {
        cache_hint: hint.to_owned(),
        ..Description::new(Action::OBuilder(build))
    }
}

/// Returns a capability with which a worker can register, if it is not called.
pub(crate) fn no_worker() -> Worker {
    Worker::from_client(capnp_rpc::new_broken_cap(capnp::Error::failed(
        "no worker".to_owned(),
    )))
}

/// Returns the same capability through a connection.
pub(crate) fn through_connection(client: Client) -> Client {
    connect(client).client.cast_to()
}
