//! What all services share: the pools, the clients, and the address that is written into sturdy refs.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cluster_api::RpcError;
use cluster_web::WebStats;
use pool::{ClientId, Cost, PastJob, Pool, Rate, Remembered, WorkerName};
use vat::{Address, Auth, ServiceId, SturdyRef};
use visible::Shown;

use crate::clients::{Clients, Digest};
use crate::clock::Clock;
use crate::config::PoolName;
use crate::db::{
    CachedRow, Change, PauseRow, PutClient, RateRow, Saved, UnixTime, WorkerRow, WriteError,
    Writer, WriterStats,
};
use crate::derived::SharedJobs;
use crate::durable::{self, DurableJobs};
use crate::hints;
use crate::job_settings::JobSettings;
use crate::leading::Leader;
use crate::limits::Limits;
use crate::pauses::{PauseNote, Pauses};
use crate::queue_quota::QueueQuota;
use crate::reactor::{PROBE_AFTER, Reactor};
use crate::web_delays::Delays;
use crate::web_links::Links;

pub(crate) struct Cluster {
    pools: BTreeMap<PoolName, Rc<Reactor>>,
    clients: Rc<RefCell<Clients>>,
    /// Clients whose queued jobs are being cancelled. Until that is done, their names cannot be used again.
    being_removed: RefCell<BTreeSet<ClientId>>,
    db: Rc<Writer>,
    clock: Clock,
    endpoint: PublicEndpoint,
    update_timeout: Duration,
    limits: Limits,
    quota: Rc<QueueQuota>,
    durable_jobs: Rc<DurableJobs>,
    shared_jobs: SharedJobs,
    leader: Leader,
    web_links: Links,
    /// Set once pages are served.
    web_stats: OnceCell<Arc<WebStats>>,
    web_delays: Delays,
    /// Whether the scheduler is shutting down, and takes no more jobs.
    is_shutting_down: Cell<bool>,
}

/// What a cluster is made from.
pub(crate) struct ClusterParts {
    pub(crate) pools: BTreeSet<PoolName>,
    /// What the database held.
    pub(crate) saved: Saved,
    /// Writes to the same database.
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) endpoint: PublicEndpoint,
    /// How long an updated worker may take to come back.
    pub(crate) update_timeout: Duration,
    pub(crate) limits: Limits,
    /// How durable jobs are kept.
    pub(crate) jobs: JobSettings,
    /// What was kept of durable jobs.
    pub(crate) durable_jobs: durable::Opened,
    pub(crate) shared_jobs: SharedJobs,
    pub(crate) leader: Leader,
}

/// How others reach the scheduler.
pub(crate) struct PublicEndpoint {
    pub(crate) auth: Auth,
    pub(crate) address: Address,
}

/// Why a client could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddClientError {
    /// There is one of that name.
    #[error("Client {0:?} already registered!")]
    Exists(String),
    /// It cannot be a name.
    #[error("client's {0}")]
    BadName(pool::NameError),
    /// It could not be saved, and so was not added.
    #[error(transparent)]
    NotSaved(#[from] WriteError),
}

impl Cluster {
    pub(crate) fn new(parts: ClusterParts) -> Rc<Self> {
        let ClusterParts {
            pools,
            saved,
            writer,
            clock,
            endpoint,
            update_timeout,
            limits,
            jobs,
            mut durable_jobs,
            shared_jobs,
            leader,
        } = parts;
        let Saved {
            sturdy_refs,
            cached,
            workers,
            rates,
            pauses,
        } = saved;
        let db = Rc::new(writer);
        let mut remembered = remember(cached, workers, rates);
        let mut pauses = remember_pauses(pauses, &remembered);
        let pools = pools.into_iter().map(|name| {
            let remembered = remembered.remove(name.as_str()).unwrap_or_default();
            let notes = pauses.remove(name.as_str()).unwrap_or_default();
            let past = durable_jobs.past.remove(name.as_str());
            let pool = taught(remembered, &past.unwrap_or_default());
            (
                name.clone(),
                Reactor::new(name, pool, notes, clock, Rc::clone(&db)),
            )
        });
        let pools: BTreeMap<_, _> = pools.collect();
        let quota = QueueQuota::new(limits);
        let clients = Rc::new(RefCell::new(Clients::new(sturdy_refs)));
        let durable_jobs = DurableJobs::new(
            durable_jobs,
            jobs,
            clock,
            pools.clone(),
            Rc::clone(&clients),
            Rc::clone(&quota),
        );
        Rc::new(Self {
            pools,
            durable_jobs,
            shared_jobs,
            leader,
            web_links: Links::new(clock),
            web_stats: OnceCell::new(),
            web_delays: Delays::new(),
            clients,
            being_removed: RefCell::default(),
            db,
            clock,
            endpoint,
            update_timeout,
            limits,
            quota,
            is_shutting_down: Cell::new(false),
        })
    }

    pub(crate) fn pools(&self) -> &BTreeMap<PoolName, Rc<Reactor>> {
        &self.pools
    }

    pub(crate) fn pool(&self, name: &str) -> Option<&Rc<Reactor>> {
        self.pools.get(name)
    }

    /// Returns how long an updated worker may take to come back.
    pub(crate) fn update_timeout(&self) -> Duration {
        self.update_timeout
    }

    /// Returns what others may use.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the places in the queues of all pools.
    pub(crate) fn quota(&self) -> &Rc<QueueQuota> {
        &self.quota
    }

    /// Returns the jobs that outlive connections.
    pub(crate) fn durable_jobs(&self) -> Rc<DurableJobs> {
        Rc::clone(&self.durable_jobs)
    }

    /// Returns the ids under which jobs are shared.
    pub(crate) fn shared_jobs(&self) -> &SharedJobs {
        &self.shared_jobs
    }

    /// Returns what is known of the lease of this scheduler.
    pub(crate) fn leader(&self) -> &Leader {
        &self.leader
    }

    /// Returns the links to the pages.
    pub(crate) fn web_links(&self) -> &Links {
        &self.web_links
    }

    /// Pages are served, and this is counted.
    pub(crate) fn serve_web(&self, stats: Arc<WebStats>) {
        // An error means that it was known before.
        self.web_stats.set(stats).ok();
    }

    /// Returns the numbers of the pages; `None` if there are none.
    pub(crate) fn web_stats(&self) -> Option<Arc<WebStats>> {
        self.web_stats.get().cloned()
    }

    /// Returns for how long answers for pages kept this thread.
    pub(crate) fn web_delays(&self) -> &Delays {
        &self.web_delays
    }

    pub(crate) fn clients(&self) -> std::cell::Ref<'_, Clients> {
        self.clients.borrow()
    }

    /// Returns whether jobs may be submitted, and a rate set, in the name of `client`.
    pub(crate) fn is_client(&self, client: &ClientId) -> bool {
        self.clients().may_submit(client)
    }

    /// Returns the sturdy ref of the service with the id `service`. It is a secret.
    pub(crate) fn sturdy_ref(&self, service: ServiceId) -> SturdyRef {
        SturdyRef {
            auth: self.endpoint.auth,
            address: self.endpoint.address.clone(),
            service,
        }
    }

    /// Adds a client, and returns its name and secret.
    pub(crate) async fn add_client(
        &self,
        name: &str,
    ) -> Result<(ClientId, ServiceId), AddClientError> {
        let client = ClientId::new(name).map_err(AddClientError::BadName)?;
        if self.is_client(&client) || self.being_removed.borrow().contains(&client) {
            return Err(AddClientError::Exists(name.to_owned()));
        }
        let id = self.issue_secret(&client).await?;
        tracing::info!(target: "scheduler", "Created new submission endpoint for client {name:?}");
        Ok((client, id))
    }

    /// Gives an existing client a new secret in place of its old one.
    pub(crate) async fn reissue(&self, client: &ClientId) -> Result<ServiceId, WriteError> {
        self.clients.borrow_mut().remove(client);
        self.issue_secret(client).await
    }

    async fn issue_secret(&self, client: &ClientId) -> Result<ServiceId, WriteError> {
        let id = ServiceId::random();
        let digest = id.digest();
        // From here on no other client can be added by that name. The secret is not known to any client yet.
        self.clients.borrow_mut().put(client.clone(), digest);
        let put = PutClient {
            client: client.to_string(),
            digest,
        };
        let saved = self.db.put_client(put, self.clock.date()).await;
        if saved.is_err() {
            self.clients.borrow_mut().remove(client);
        }
        saved.map(|()| id)
    }

    /// Removes a client: its secret is revoked at once, its queued jobs are cancelled, and those that run go on.
    pub(crate) async fn remove_client(self: Rc<Self>, name: &str) -> Result<(), RpcError> {
        let unknown = || RpcError::failed(format!("Unknown client {name:?}"));
        let client = ClientId::new(name).map_err(|_| unknown())?;
        if !self.clients.borrow_mut().remove(&client) {
            return Err(unknown());
        }
        tracing::info!(target: "scheduler", "Removed endpoint for client {name:?}");
        let gone = Change::RemoveClient {
            client: name.to_owned(),
        };
        let saved = self.db.save_acked(gone, self.clock.date());
        // In a task of its own, so that it is completed even if the operator's program does not wait.
        let cluster = Rc::clone(&self);
        cluster.being_removed.borrow_mut().insert(client.clone());
        let cancelled = tokio::task::spawn_local(async move {
            for pool in cluster.pools.values() {
                pool.remove_client(&client).await;
            }
            cluster.being_removed.borrow_mut().remove(&client);
        });
        let failed =
            |error| RpcError::failed(format!("cannot cancel the client's queued jobs: {error}"));
        cancelled.await.map_err(failed)?;
        saved.await.map_err(not_durable)
    }

    /// Returns the client to which the digest of a secret belongs.
    pub(crate) fn client_of(&self, digest: &Digest) -> Option<ClientId> {
        use crate::clients::StoredService;
        match self.clients().find(digest)? {
            StoredService::Client(client) => Some(client.clone()),
            StoredService::Unknown { .. } => None,
        }
    }

    /// Records that the scheduler is shutting down.
    pub(crate) fn begin_shutdown(&self) {
        self.is_shutting_down.set(true);
    }

    /// Returns whether the scheduler is shutting down.
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.is_shutting_down.get()
    }

    /// Returns how writing to the database goes.
    pub(crate) fn database(&self) -> WriterStats {
        self.db.stats()
    }

    /// Returns the date of the scheduler's start.
    pub(crate) fn started(&self) -> UnixTime {
        self.clock.start_date()
    }

    /// Waits until all that was written is on disk. Nothing is saved afterwards.
    pub(crate) async fn close(&self) {
        self.durable_jobs.close();
        self.db.close().await;
    }
}

/// Returns the error for something that is in force but may not survive a restart.
pub(crate) fn not_durable(error: WriteError) -> RpcError {
    RpcError::failed(format!(
        "{error}; the change is applied, but not saved yet; retrying"
    ))
}

/// Sorts who paused which workers by pool. Rows of workers that are not paused, as another scheduler unpaused them,
/// count no more.
fn remember_pauses(
    pauses: Vec<PauseRow>,
    remembered: &BTreeMap<String, Remembered>,
) -> BTreeMap<String, Pauses> {
    let mut lasting: BTreeMap<String, BTreeMap<WorkerName, PauseNote>> = BTreeMap::new();
    for PauseRow {
        pool,
        worker,
        since,
        by,
        note,
    } in pauses
    {
        let workers = remembered.get(&pool).map(|remembered| &remembered.workers);
        if let (Ok(name), Some(workers)) = (WorkerName::new(&worker), workers)
            && workers.get(&name) == Some(&true)
        {
            let notes = lasting.entry(pool).or_default();
            notes.insert(name, PauseNote { since, by, note });
        }
    }
    let pauses = lasting.into_iter();
    pauses
        .map(|(pool, notes)| (pool, Pauses::new(notes)))
        .collect()
}

/// How many invalid rows are named in the log; the others are counted.
const NAMED_ROWS: usize = 10;

/// Returns a pool that has learned from jobs that ended before.
fn taught(remembered: Remembered, past: &[PastJob]) -> Pool {
    let config = pool::Config {
        cost: Cost::default(),
        probe_after: Some(PROBE_AFTER),
    };
    let mut pool = Pool::new(config, remembered);
    for job in past {
        pool.teach(job);
    }
    pool
}

/// Sorts what was saved by pool. Invalid rows are ignored, with a warning.
fn remember(
    cached: Vec<CachedRow>,
    workers: Vec<WorkerRow>,
    rates: Vec<RateRow>,
) -> BTreeMap<String, Remembered> {
    let mut pools: BTreeMap<String, Remembered> = BTreeMap::new();
    let mut ignored = 0;
    let mut ignore = |table: &str, name: &str, error: &dyn std::fmt::Display| {
        ignored += 1;
        if ignored <= NAMED_ROWS {
            tracing::warn!(
                target: "scheduler",
                "Ignoring a row of the database: \"{}\" in table \"{table}\": {error}", Shown(name)
            );
        }
    };
    for WorkerRow {
        pool,
        worker,
        paused,
    } in workers
    {
        match WorkerName::new(&worker) {
            Ok(name) => {
                let remembered = pools.entry(pool).or_default();
                remembered.workers.insert(name, paused);
            }
            Err(error) => ignore("workers", &worker, &error),
        }
    }
    for CachedRow { pool, hint, worker } in cached {
        match WorkerName::new(&worker) {
            Ok(name) => {
                let hint = pool::CacheHint::new(&hints::key(&hint));
                pools.entry(pool).or_default().cached.push((hint, name));
            }
            Err(error) => ignore("cached", &worker, &error),
        }
    }
    for RateRow { pool, client, rate } in rates {
        match (ClientId::new(&client), Rate::new(rate)) {
            (Ok(client), Ok(rate)) => {
                pools.entry(pool).or_default().rates.insert(client, rate);
            }
            (Err(error), _) => ignore("rates", &client, &error),
            (_, Err(error)) => ignore("rates", &client, &error),
        }
    }
    if ignored > NAMED_ROWS {
        let more = ignored - NAMED_ROWS;
        tracing::warn!(target: "scheduler", "Ignoring {more} more rows of the database for similar reasons");
    }
    pools
}
