//! A scheduler in a process: [`Scheduler::start`], [`Scheduler::run`], [`Scheduler::shutdown`].

mod cap_files;
mod error;
mod standby;
mod start;
mod status;

use std::cell::{Cell, RefCell};
use std::future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use leadership::StopReason;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use vat::{Address, Connections, Counters, Listener, ServeOptions};

pub use self::error::StartError;
pub use self::standby::Standby;
pub use self::status::Status;
use crate::cluster::Cluster;
use crate::config::SchedulerConfig;
use crate::db::UnixTime;
use crate::http::{Endpoint, HttpServer};
use crate::leading::{Event, Keeper, LeaseState};
use crate::service::restore::Services;
use crate::shutdown;
use crate::state_dir::StateDir;

/// A scheduler that has been started.
pub struct Scheduler {
    cluster: Rc<Cluster>,
    services: Rc<Services>,
    /// Taken by [`Scheduler::run`].
    listener: Cell<Option<Listener>>,
    serve_options: ServeOptions,
    connections: Connections,
    counters: Counters,
    address: Address,
    metrics: Option<Metrics>,
    /// Keeps the lease; `None` if the state is in files, which no other scheduler has.
    keeper: Option<Rc<Keeper>>,
    stop_reason: Cell<Option<StopReason>>,
    /// The pages; its thread ends before what it asks.
    web: Option<cluster_web::Server>,
    cap_files: Vec<PathBuf>,
    /// The tasks of the reactors and of the metrics; dropping it ends them.
    _tasks: RefCell<JoinSet<()>>,
    stop: Notify,
    /// Locks the database until the end.
    _state_dir: StateDir,
}

/// The HTTP endpoint for metrics.
struct Metrics {
    endpoint: Rc<Endpoint>,
    address: SocketAddr,
}

impl Metrics {
    /// Begins to serve metrics, in a task. `lease_state` is `None` if this scheduler cannot be a standby.
    fn serve(
        server: HttpServer,
        lease_state: Option<watch::Receiver<LeaseState>>,
        started: UnixTime,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let endpoint = Endpoint::new(lease_state, started);
        let address = server.address();
        tasks.spawn_local(server.serve(Rc::clone(&endpoint)));
        Self { endpoint, address }
    }
}

/// How often to look whether a peer has shown a sign of life.
const SIGN_OF_LIFE_POLL: Duration = Duration::from_millis(100);

/// How long a leader that steps down waits for the last answers to be made.
const ANSWER_DELAY: Duration = Duration::from_millis(50);

/// How long a leader that steps down waits for its last answers to be sent.
const FLUSH_LIMIT: Duration = Duration::from_millis(200);

impl Scheduler {
    /// Starts a scheduler: when this returns, it listens and its cap files are written. If others share its database,
    /// it waits as a [`Standby`] first.
    ///
    /// Connections are answered while [`Scheduler::run`] is awaited. Needs a `LocalSet`.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what cannot be used. Without pools or a secrets directory, nothing has been written.
    pub async fn start(config: SchedulerConfig) -> Result<Self, StartError> {
        Standby::open(config).await?.lead().await
    }

    /// Serves until [`Scheduler::shutdown`] is called, or it does not lead any more. After a shutdown, all connections
    /// are closed, and everything that is to be remembered is on disk. After the other,
    /// [`stop_reason`](Self::stop_reason) has the reason, and the process should end or start afresh at once: nothing
    /// that it has in memory counts any more.
    ///
    /// A second call returns at once.
    pub async fn run(&self) {
        let Some(listener) = self.listener.take() else {
            return;
        };
        let services = Rc::clone(&self.services);
        tokio::select! {
            biased;
            reason = self.stopped_leading() => {
                self.stop_reason.set(Some(reason));
                return;
            }
            _ = listener.serve(services, self.serve_options.clone()) => {}
            () = self.measure() => {}
            () = self.stop.notified() => {}
        }
        self.cluster.close().await;
        if let Some(keeper) = &self.keeper {
            standby::end(keeper).await;
        }
    }

    /// Returns why this scheduler does not lead any more; `None` while it does, and after a shutdown.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stop_reason.get()
    }

    /// Waits until another scheduler may lead. Never ends if no other can.
    async fn stopped_leading(&self) -> StopReason {
        let Some(keeper) = &self.keeper else {
            return future::pending().await;
        };
        // How many messages had arrived when all peers were asked for a sign of life.
        let mut probed = None;
        loop {
            let event = tokio::select! {
                event = keeper.next_event() => event,
                () = self.sign_of_life(probed.as_ref()) => {
                    probed = None;
                    keeper.peer_heard();
                    continue;
                }
            };
            match event {
                Event::Probe => {
                    probed = Some(self.counters.read().messages_in);
                    for pool in self.cluster.pools().values() {
                        pool.probe_all();
                    }
                }
                Event::Stop(reason) => return reason,
                Event::Failed(_) => return StopReason::Expired,
                Event::Drain => {
                    // What was not saved was told to nobody, and is submitted again. What was answered arrives, that
                    // the operator's request was accepted among it.
                    tokio::time::sleep(ANSWER_DELAY).await;
                    let flushed = self.connections.flushed();
                    drop(tokio::time::timeout(FLUSH_LIMIT, flushed).await);
                    keeper.drained();
                }
                Event::Lead(_) | Event::Ended => {}
            }
        }
    }

    /// Waits until any message has arrived since so many had. Never ends if no sign of life is waited for.
    async fn sign_of_life(&self, since: Option<&u64>) {
        let Some(since) = since else {
            return future::pending().await;
        };
        while self.counters.read().messages_in == *since {
            tokio::time::sleep(SIGN_OF_LIFE_POLL).await;
        }
    }

    /// Measures for metrics. Never ends.
    async fn measure(&self) {
        match &self.metrics {
            Some(metrics) => metrics.endpoint.measure().await,
            None => future::pending().await,
        }
    }

    /// Drains: queued jobs, now and later, are not assigned any more, and running jobs have `within` to end.
    ///
    /// Returns when none is running or the time is up. [`Scheduler::run`] must be awaited meanwhile.
    pub async fn drain(&self, within: Duration) {
        shutdown::drain(&self.cluster, &self.connections, within).await;
    }

    /// Ends [`Scheduler::run`], also if it is called only later.
    pub fn shutdown(&self) {
        self.stop.notify_one();
    }

    /// Returns a summary in one line, for operators.
    pub fn status(&self) -> Status {
        let mut status = Status::default();
        for pool in self.cluster.pools().values() {
            let stats = pool.stats();
            status.pools += 1;
            status.workers += stats.connected;
            status.queued += stats.backlog.high + stats.backlog.low;
            for worker in &stats.workers {
                status.queued += worker.queued.high + worker.queued.low;
                status.running += worker.running;
            }
        }
        status
    }

    /// Returns the cap files that were written, in the order in which they were.
    pub fn cap_files(&self) -> Vec<PathBuf> {
        self.cap_files.clone()
    }

    /// Returns the address that is listened on.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns where pages are served.
    pub fn web_address(&self) -> Option<SocketAddr> {
        self.web.as_ref().map(cluster_web::Server::address)
    }

    /// Returns where metrics are served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }
}
