//! A scheduler in a process: [`Scheduler::start`], [`Scheduler::run`], [`Scheduler::shutdown`].

mod cap_files;
mod error;
mod start;
mod status;

use std::cell::{Cell, RefCell};
use std::future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use cluster_web::access::SessionKey;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use vat::{Address, Connections, Listener, ServeOptions};

pub use self::error::StartError;
use self::start::{Bound, Opened};
pub use self::status::Status;
use crate::cluster::Cluster;
use crate::config::SchedulerConfig;
use crate::http::{Endpoint, HttpServer};
use crate::service::restore::Services;
use crate::shutdown;
use crate::state_dir::StateDir;
use crate::web;

/// A scheduler that has been started.
pub struct Scheduler {
    cluster: Rc<Cluster>,
    services: Rc<Services>,
    /// Taken by [`Scheduler::run`].
    listener: Cell<Option<Listener>>,
    serve_options: ServeOptions,
    connections: Connections,
    address: Address,
    metrics: Option<Metrics>,
    /// The pages; its thread ends before what it asks.
    web: Option<cluster_web::Server>,
    cap_files: Vec<PathBuf>,
    /// The reactors' tasks; dropping it ends them.
    _reactors: RefCell<JoinSet<()>>,
    stop: Notify,
    /// Locks the database until the end.
    _state_dir: StateDir,
}

/// The HTTP endpoint for metrics.
struct Metrics {
    endpoint: Rc<Endpoint>,
    /// Taken by [`Scheduler::run`].
    server: Cell<Option<HttpServer>>,
    address: SocketAddr,
}

impl Scheduler {
    /// Starts a scheduler: when this returns, it listens and its cap files are written.
    ///
    /// Connections are answered while [`Scheduler::run`] is awaited. Needs a `LocalSet`.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what cannot be used. Without pools or a secrets directory, nothing has been written.
    pub async fn start(config: SchedulerConfig) -> Result<Self, StartError> {
        start::check(&config)?;
        let opened = Opened::open(&config)?;
        let bound = Bound::bind(&config, &opened.identity).await?;
        let cluster = start::cluster(
            &config,
            &bound,
            opened.database,
            opened.clock,
            &opened.identity,
            opened.durable_jobs,
        );
        let services = Services::new(Rc::clone(&cluster), &opened.identity);
        let cap_files = cap_files::write(&config, &cluster, &opened.identity).await?;

        let mut reactors = JoinSet::new();
        for reactor in cluster.pools().values() {
            reactors.spawn_local(Rc::clone(reactor).run());
        }
        reactors.spawn_local(cluster.durable_jobs().run());
        reactors.spawn_local(cluster.durable_jobs().save_attached());
        reactors.spawn_local(cluster.durable_jobs().keep_attached_logs());
        let web = match config.web {
            Some(settings) => {
                let key = SessionKey::new(opened.identity.derive("web-sessions").digest());
                let (server, work) = web::start(settings, key, &cluster)?;
                reactors.spawn_local(work);
                Some(server)
            }
            None => None,
        };
        let Bound {
            listener,
            http,
            address,
        } = bound;
        let metrics = http.map(|server| Metrics {
            endpoint: Endpoint::new(Rc::clone(&cluster), listener.counters()),
            address: server.address(),
            server: Cell::new(Some(server)),
        });
        Ok(Self {
            services: Rc::new(services),
            metrics,
            web,
            cluster,
            connections: listener.connections(),
            listener: Cell::new(Some(listener)),
            serve_options: config.connections,
            address,
            cap_files,
            _reactors: RefCell::new(reactors),
            stop: Notify::new(),
            _state_dir: opened.state_dir,
        })
    }

    /// Serves until [`Scheduler::shutdown`] is called. Then all connections are closed, and everything
    /// that is to be remembered is on disk.
    ///
    /// A second call returns at once.
    pub async fn run(&self) {
        let Some(listener) = self.listener.take() else {
            return;
        };
        let services = Rc::clone(&self.services);
        tokio::select! {
            _ = listener.serve(services, self.serve_options.clone()) => {}
            () = self.serve_metrics() => {}
            () = self.stop.notified() => {}
        }
        self.cluster.close().await;
    }

    /// Serves metrics. Never ends.
    async fn serve_metrics(&self) {
        let Some(Metrics {
            endpoint, server, ..
        }) = &self.metrics
        else {
            return future::pending().await;
        };
        if let Some(server) = server.take() {
            tokio::join!(server.serve(Rc::clone(endpoint)), endpoint.measure());
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
