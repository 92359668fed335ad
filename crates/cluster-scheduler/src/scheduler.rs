//! Starts everything, in an order in which nothing is left half done: first what can be refused, then
//! what is on disk, then what others can see.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use pool::ClientId;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use vat::{
    Address, Auth, CapFileError, Connections, Identity, IdentityError, ListenError, Listener,
    Security, ServeOptions, ServiceId, cap_file,
};

use crate::clients::SHARED;
use crate::clock::Clock;
use crate::cluster::{AddClientError, Cluster, Outside};
use crate::config::{FileName, KeySource, SchedulerConfig, Transport};
use crate::db::{self, WriteError};
use crate::ending;
use crate::http::{Endpoint, HttpServer};
use crate::service::restore::Services;
use crate::state_dir::{self, StateDir, StateDirError};

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
    cap_files: Vec<PathBuf>,
    /// The reactors' tasks; dropping it ends them.
    _reactors: RefCell<JoinSet<()>>,
    stop: Notify,
    /// Kept until the end, so that nobody else uses the database.
    _state_dir: StateDir,
}

/// A scheduler in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How many pools there are.
    pub pools: usize,
    /// How many workers are connected.
    pub workers: usize,
    /// How many jobs they run.
    pub running: usize,
    /// How many jobs wait.
    pub queued: usize,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pools,
            workers,
            running,
            queued,
        } = *self;
        let of =
            |count: usize, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (pools, workers, running) =
            (of(pools, "pool"), of(workers, "worker"), of(running, "job"));
        write!(f, "{pools}, {workers}, {running} running, {queued} queued")
    }
}

/// The metrics, if anybody is to see them.
struct Metrics {
    endpoint: Rc<Endpoint>,
    /// Taken by [`Scheduler::run`].
    server: Cell<Option<HttpServer>>,
    address: SocketAddr,
}

/// Why a scheduler could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is nothing to schedule for.
    #[error("no pools are given; name at least one")]
    NoPools,
    /// The directory for cap files is not there.
    #[error("the secrets directory {} does not exist; create it, with access for nobody else", .0.display())]
    NoSecretsDir(PathBuf),
    /// The vat's key could not be loaded or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The state directory could not be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database could not be used.
    #[error(transparent)]
    Database(#[from] db::OpenError),
    /// The address could not be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The address for metrics could not be listened on.
    #[error(
        "cannot serve metrics at {address}: {source}; choose another port, or an address of this machine"
    )]
    ListenMetrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A default client could not be added.
    #[error("failed to add the default client {client}")]
    DefaultClient {
        /// Its name.
        client: FileName,
        /// Why not.
        #[source]
        source: AddClientError,
    },
    /// A cap file could not be written.
    #[error(transparent)]
    CapFile(#[from] CapFileError),
}

impl Scheduler {
    /// Starts a scheduler: when this returns, it listens and its cap files are written.
    ///
    /// Connections are answered while [`Scheduler::run`] is awaited. Needs a `LocalSet`.
    pub async fn start(config: SchedulerConfig) -> Result<Self, StartError> {
        let SchedulerConfig {
            state_dir,
            secrets_dir,
            key,
            listen,
            public,
            transport,
            pools,
            default_clients,
            metrics,
            update_timeout,
            limits,
            connections: serve_options,
        } = config;
        if pools.is_empty() {
            return Err(StartError::NoPools);
        }
        if !secrets_dir.is_dir() {
            return Err(StartError::NoSecretsDir(secrets_dir));
        }
        let state_dir = StateDir::open(&state_dir)?;
        let clock = Clock::start();
        let (writer, saved) = db::open(&state_dir.database(), clock.date())?;
        let identity = identity(key)?;
        let (security, auth) = match transport {
            Transport::Tls => (
                Security::Tls(identity.clone()),
                Auth::Sha256(identity.fingerprint()),
            ),
            Transport::Plaintext => (Security::Plaintext, Auth::Insecure),
        };
        let listener = Listener::bind(&listen, security)?;
        let address = listener.local_address();
        let metrics_server = match metrics {
            Some(address) => Some(bind_metrics(address).await?),
            None => None,
        };
        let public = public.unwrap_or_else(|| address.clone());
        warn_of_wildcard(&public);
        let cluster = Cluster::new(
            pools,
            saved,
            writer,
            clock,
            Outside {
                auth,
                address: public,
            },
            update_timeout,
            limits,
        );
        let security = if transport == Transport::Tls {
            "(encrypted)"
        } else {
            "UNENCRYPTED"
        };
        tracing::info!(target: "capnp-rpc", "Waiting for {security} connections on {address}");

        let mut files = CapFiles {
            cluster: &cluster,
            directory: &secrets_dir,
            written: Vec::new(),
        };
        for client in default_clients {
            files.default_client(client).await?;
        }
        files.write("submission.cap", identity.derive(SHARED))?;
        files.write("admin.cap", identity.derive("admin"))?;
        for pool in cluster.pools().keys() {
            files.write(
                &format!("pool-{pool}.cap"),
                identity.derive(&format!("pool-{pool}")),
            )?;
        }
        let cap_files = files.written;

        let mut reactors = JoinSet::new();
        for reactor in cluster.pools().values() {
            reactors.spawn_local(Rc::clone(reactor).run());
        }
        Ok(Self {
            services: Rc::new(Services::new(Rc::clone(&cluster), &identity)),
            metrics: metrics_server.map(|server| Metrics {
                endpoint: Endpoint::new(Rc::clone(&cluster), listener.counters()),
                address: server.address(),
                server: Cell::new(Some(server)),
            }),
            cluster,
            connections: listener.connections(),
            listener: Cell::new(Some(listener)),
            serve_options,
            address,
            cap_files,
            _reactors: RefCell::new(reactors),
            stop: Notify::new(),
            _state_dir: state_dir,
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

    /// Answers whoever wants to see metrics. Never ends.
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

    /// Makes an end of the jobs: nothing that is queued, now or later, is given to a worker, and those that run have `within`
    /// to end.
    ///
    /// Returns when none is running or the time is up. Serves nobody: [`Scheduler::run`] must be awaited meanwhile.
    pub async fn drain(&self, within: Duration) {
        ending::drain(&self.cluster, &self.connections, within).await;
    }

    /// Ends [`Scheduler::run`], also if it is called only later.
    pub fn shutdown(&self) {
        self.stop.notify_one();
    }

    /// Returns what a person who looks after it wants to know in one line.
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

    /// Returns where metrics are served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }
}

/// Says that nobody else can use the cap files, if that is so. Here they work, so that it is no reason not to start.
fn warn_of_wildcard(public: &Address) {
    if let Address::Tcp { port, .. } = public
        && public.is_wildcard()
    {
        tracing::warn!(
            target: "application",
            "Cap files name {public}, which other machines cannot connect to; start with --capnp-public-address=tcp:HOST:{port}, where HOST is \
             this machine's name or address as they know it, and copy the cap files again"
        );
    }
}

async fn bind_metrics(address: SocketAddr) -> Result<HttpServer, StartError> {
    let server = HttpServer::bind(address)
        .await
        .map_err(|source| StartError::ListenMetrics { address, source })?;
    tracing::info!(target: "scheduler", "Serving metrics at http://{}/metrics", server.address());
    Ok(server)
}

fn identity(key: KeySource) -> Result<Identity, IdentityError> {
    let path = match key {
        KeySource::File(path) => path,
        KeySource::Ephemeral => return Ok(Identity::ephemeral()),
    };
    // Only for the log: whoever makes the file first, all use the same.
    if path.exists() {
        // A key that somebody mounts for us, say, is theirs to protect; then there is a warning.
        if let Err(error) = state_dir::protect_file(&path) {
            tracing::debug!(target: "scheduler", "{error}");
        }
        tracing::info!(target: "capnp-rpc", "Restoring saved secret key from existing file {path:?}");
        return Identity::load_or_generate(path);
    }
    tracing::info!(target: "capnp-rpc", "Generating new secret key to store in {path:?}");
    tracing::info!(target: "capnp-rpc", "Generating new private key...");
    let identity = Identity::load_or_generate(path)?;
    tracing::info!(target: "capnp-rpc", "Generated key with hash sha-256@{}", identity.fingerprint());
    Ok(identity)
}

/// Writes cap files, and says so.
struct CapFiles<'a> {
    cluster: &'a Cluster,
    directory: &'a Path,
    written: Vec<PathBuf>,
}

impl CapFiles<'_> {
    /// Makes sure that a client exists and that there is, or has been, a cap file for it.
    async fn default_client(&mut self, name: FileName) -> Result<(), StartError> {
        let file = format!("submit-{name}.cap");
        if self.directory.join(&file).exists() {
            return Ok(());
        }
        let failed = |source| StartError::DefaultClient {
            client: name.clone(),
            source,
        };
        let bad_name = |error| failed(AddClientError::BadName(error));
        let client = ClientId::new(name.as_str()).map_err(bad_name)?;
        let id = if self.cluster.clients().contains(&client) {
            let id = self.cluster.reissue(&client).await;
            tracing::warn!(
                target: "scheduler",
                "Client {:?} exists, but {:?} does not: writing it with a new secret; the old one is void now",
                name.as_str(), self.directory.join(&file)
            );
            id.map_err(|error: WriteError| failed(error.into()))?
        } else {
            self.cluster
                .add_client(name.as_str())
                .await
                .map_err(failed)?
                .1
        };
        self.write(&file, id)
    }

    fn write(&mut self, file: &str, service: ServiceId) -> Result<(), StartError> {
        let path = self.directory.join(file);
        cap_file::save(&path, &self.cluster.sturdy_ref(service))?;
        tracing::info!(target: "application", "Wrote capability reference to {path:?}");
        self.written.push(path);
        Ok(())
    }
}
