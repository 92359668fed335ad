//! The parts that a scheduler is started from, in an order in which nothing is left half done: first what can be
//! refused, then what is on disk, then what others can see.

use std::net::SocketAddr;
use std::rc::Rc;

use cluster_postgres::Lease;
use job_store::{Place, Sealer};
use vat::{Address, Auth, BoundAddress, Identity, IdentityError, Security};

use super::error::StartError;
use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterParts, PublicEndpoint};
use crate::config::{KeySource, SchedulerConfig, Transport};
use crate::db::{self, Saved, UnixTime, Writer};
use crate::derived::SharedJobs;
use crate::durable;
use crate::http::HttpServer;
use crate::leading::{Keeper, Leader};
use crate::state_dir::{self, StateDir};

/// What is on disk.
pub(super) struct Opened {
    pub(super) database: (Writer, Saved),
    pub(super) durable_jobs: durable::Opened,
}

/// Refuses what cannot work, before anything is written.
pub(super) fn check(config: &SchedulerConfig) -> Result<(), StartError> {
    if config.pools.is_empty() {
        return Err(StartError::NoPools);
    }
    if !config.secrets_dir.is_dir() {
        return Err(StartError::NoSecretsDir(config.secrets_dir.clone()));
    }
    Ok(())
}

/// Where the state is, for one who may write it.
pub(super) enum WritableStore<'a> {
    /// In the state directory.
    Files(&'a StateDir),
    Postgres(&'a cluster_postgres::Settings, Lease),
}

impl WritableStore<'_> {
    /// Opens what is read once, and returns where jobs are kept.
    ///
    /// On another thread than that of the scheduler, which may not wait for a network.
    pub(super) fn open(&self, today: UnixTime) -> Result<((Writer, Saved), Place), StartError> {
        match *self {
            Self::Files(state_dir) => {
                let opened = elsewhere(|| db::open(&state_dir.database(), today))?;
                Ok((opened, Place::File(state_dir.jobs_database())))
            }
            Self::Postgres(settings, lease) => {
                let opened = elsewhere(|| {
                    let tables = [db::TABLES, job_store::postgres::TABLES];
                    cluster_postgres::prepare(settings, &tables)?;
                    db::open_postgres(settings, lease, today)
                })?;
                let settings = settings.clone();
                Ok((opened, Place::Postgres { settings, lease }))
            }
        }
    }
}

impl Opened {
    pub(super) fn open(
        config: &SchedulerConfig,
        state_dir: &StateDir,
        identity: &Identity,
        clock: Clock,
        (database, jobs): ((Writer, Saved), Place),
    ) -> Result<Self, StartError> {
        // Not the id of any service: a secret that only those with the key have.
        let sealer = Sealer::new(&identity.derive("sealed-jobs").digest());
        let log_store = config.log_store.clone();
        let log_store = log_store.map(|settings| durable::LogStorePlace {
            settings,
            secret: identity.derive("log-store").digest().to_vec(),
            clock,
        });
        let places = durable::Places {
            database: jobs,
            logs: state_dir.job_logs(),
            sealer,
            log_store,
        };
        let now = clock.unix_now();
        let durable_jobs = elsewhere(|| durable::open(places, now))?;
        Ok(Self {
            durable_jobs,
            database,
        })
    }
}

/// Works on another thread, and waits for it.
pub(super) fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let done = std::thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Returns what other schedulers and people are told of this one.
pub(super) fn name() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("process {} on {host}", std::process::id())
}

/// The sockets, and how peers reach the first one.
pub(super) struct Bound {
    /// It does not listen yet.
    pub(super) address: BoundAddress,
    /// `None` if no metrics are served.
    pub(super) http: Option<HttpServer>,
}

impl Bound {
    pub(super) async fn bind(
        config: &SchedulerConfig,
        identity: &Identity,
    ) -> Result<Self, StartError> {
        let security = match config.transport {
            Transport::Tls => Security::Tls(identity.clone()),
            Transport::Plaintext => Security::Plaintext,
        };
        let address = BoundAddress::bind(&config.listen, security)?;
        let http = match config.metrics {
            Some(address) => Some(bind_metrics(address).await?),
            None => None,
        };
        Ok(Self { address, http })
    }
}

/// Returns the address for peers.
pub(super) fn public_address(config: &SchedulerConfig, bound: &Address) -> Address {
    config.public.as_ref().unwrap_or(bound).clone()
}

/// Returns the pools and clients as they were saved, and logs where they are reached.
pub(super) fn cluster(
    config: &SchedulerConfig,
    address: &Address,
    opened: Opened,
    clock: Clock,
    identity: &Identity,
    keeper: Option<&Rc<Keeper>>,
) -> Rc<Cluster> {
    let Opened {
        database: (writer, saved),
        durable_jobs,
    } = opened;
    let public = public_address(config, address);
    warn_of_wildcard(&public);
    let leader = Leader::new(name(), public.to_string(), keeper.cloned());
    let (auth, security) = match config.transport {
        Transport::Tls => (Auth::Sha256(identity.fingerprint()), "(encrypted)"),
        Transport::Plaintext => (Auth::Insecure, "UNENCRYPTED"),
    };
    let cluster = Cluster::new(ClusterParts {
        pools: config.pools.clone(),
        saved,
        writer,
        clock,
        endpoint: PublicEndpoint {
            auth,
            address: public,
        },
        update_timeout: config.update_timeout,
        limits: config.limits,
        jobs: config.jobs,
        durable_jobs,
        shared_jobs: SharedJobs::new(identity),
        leader,
    });
    tracing::info!(target: "capnp-rpc", "Waiting for {security} connections on {address}");
    cluster
}

/// Warns if other machines cannot use the cap files. They work on this machine, so it is not an error.
fn warn_of_wildcard(public: &Address) {
    if let Address::Tcp { port, .. } = public
        && public.is_wildcard()
    {
        tracing::warn!(
            target: "application",
            "Cap files name {public}, which other machines cannot connect to; start with \
             --capnp-public-address=tcp:HOST:{port}, where HOST is this machine's name or address as they know it, and \
             copy the cap files again"
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

pub(super) fn identity(key: &KeySource) -> Result<Identity, IdentityError> {
    let path = match key {
        KeySource::File(path) => path,
        KeySource::Ephemeral => return Ok(Identity::ephemeral()),
    };
    // Only for the log. If two processes create the file at once, both use the first one's.
    if path.exists() {
        // A key that is mounted from elsewhere is protected there; loading it warns.
        if let Err(error) = state_dir::protect_file(path) {
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
