//! Durable jobs: those that outlive the connections of their clients, and this process.
//!
//! [`Jobs`] decides what becomes of each, and [`job_store`] keeps it. Here is what connects them with clients, with the
//! pools, and with workers: each event is reported to the jobs, and their effects are performed. An attempt is an
//! ordinary ticket of its pool, whose client is this module.

mod convert;
mod follow;
mod perform;
mod store_thread;
mod watching;

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;

use cluster_api::{
    DurableLogChunk, DurableStatus, JobPage, JobPromise, JobQuery, JobRequest, Label, Refusal,
    RpcError,
};
use futures::StreamExt as _;
use futures::channel::{mpsc, oneshot};
use job_store::logs::{LogError, Logs};
use job_store::{
    Committer, Details, OpenError, Reader as _, Record, Report, Sealer, StoreError, Writer as _,
    sqlite,
};
use jobs::{
    AttemptId, CancelledBy, Config, Departure, JobId, JobKey, Jobs, NewJob, RequestId, Saved, Stage,
};
use pool::{CacheHint, ClientId, TicketId, Time};
use tokio::sync::{Notify, watch};
use visible::Shown;

use self::perform::HeldAssignment;
use self::store_thread::StoreThread;
pub(crate) use self::watching::Watching;
use crate::clock::Clock;
use crate::config::PoolName;
use crate::hints;
use crate::queue_quota::{QueueQuota, QueueReservation};
use crate::reactor::{Reactor, TicketState};

/// Why durable jobs cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of logs cannot be used.
    #[error(transparent)]
    Logs(#[from] LogError),
    /// The system has no thread to give.
    #[error("cannot start a thread for the jobs that are kept")]
    Thread(#[source] io::Error),
}

/// Where durable jobs are kept, and with which key.
pub(crate) struct Places {
    pub(crate) database: PathBuf,
    pub(crate) logs: PathBuf,
    /// Seals descriptions.
    pub(crate) sealer: Sealer,
}

/// What was kept, before the pools are there.
pub(crate) struct Opened {
    committer: Committer,
    reports: mpsc::UnboundedReceiver<Report>,
    store: StoreThread,
    sealer: Sealer,
    saved: Vec<Saved>,
}

/// All durable jobs of a scheduler.
pub(crate) struct DurableJobs {
    this: Weak<Self>,
    clock: Clock,
    pools: BTreeMap<PoolName, Rc<Reactor>>,
    quota: Rc<QueueQuota>,
    /// `None` once the scheduler ends: nothing is saved any more then.
    committer: RefCell<Option<Committer>>,
    store: StoreThread,
    sealer: Sealer,
    state: RefCell<State>,
    /// Taken by [`DurableJobs::run`].
    reports: RefCell<Option<mpsc::UnboundedReceiver<Report>>>,
    /// Why jobs cannot be saved at present.
    save_error: RefCell<Option<String>>,
    /// Held from the look for a key to the submission with it.
    keyed: tokio::sync::Mutex<()>,
    /// When something is due next.
    deadline: Cell<Option<Time>>,
    /// Wakes the task: the deadline has moved, or something was released.
    wake: Notify,
}

struct State {
    jobs: Jobs,
    live: BTreeMap<JobId, Live>,
    /// The calls that wait for the disk.
    requests: HashMap<RequestId, oneshot::Sender<Answer>>,
    last_request: u64,
    /// Workers that are to get an attempt as soon as that is on disk.
    held: HashMap<AttemptId, HeldAssignment>,
    /// What was released inside the RPC system.
    left: Vec<JobId>,
}

/// What a call that waits for the disk gets.
type Answer = Result<JobId, RpcError>;

/// A job that has not ended, or whose end is not on disk yet.
struct Live {
    pool: Rc<Reactor>,
    /// Goes to the store with the submission.
    details: Option<Details>,
    /// Its ticket in the pool, from when it is queued until its attempt ends.
    ticket: Option<TicketId>,
    /// Its place in the quota, until it is queued.
    reservation: Option<QueueReservation>,
    /// The job of that ticket: holding it keeps the attempt going.
    promise: Option<Rc<JobPromise>>,
    /// The number of its latest attempt.
    attempts: u32,
    /// What its watchers see.
    shown: watch::Sender<View>,
    /// The length of the log of its latest attempt, and whether it is complete.
    log: watch::Sender<LogState>,
}

/// What the watchers of a job see.
#[derive(Clone)]
struct View {
    version: u64,
    stage: Stage,
    /// The number of its latest attempt.
    attempts: u32,
}

/// How much of a log is kept.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct LogState {
    length: u64,
    is_complete: bool,
}

/// Opens what is kept of durable jobs.
///
/// # Errors
///
/// [`KeepError`] when it cannot be used.
pub(crate) fn open(places: Places) -> Result<Opened, KeepError> {
    let Places {
        database,
        logs,
        sealer,
    } = places;
    let (mut writer, reader) = sqlite::open(&database)?;
    let saved = writer.restore()?;
    let store = StoreThread::start(reader, Logs::open(&logs)?).map_err(KeepError::Thread)?;
    let (reporter, reports) = mpsc::unbounded();
    // An error means that the scheduler has ended.
    let report = move |report| drop(reporter.unbounded_send(report));
    let committer = Committer::start(writer, report).map_err(KeepError::Thread)?;
    Ok(Opened {
        committer,
        reports,
        store,
        sealer,
        saved,
    })
}

impl DurableJobs {
    /// Goes on with what was kept.
    pub(crate) fn new(
        opened: Opened,
        clock: Clock,
        pools: BTreeMap<PoolName, Rc<Reactor>>,
        quota: Rc<QueueQuota>,
    ) -> Rc<Self> {
        let Opened {
            committer,
            reports,
            store,
            sealer,
            saved,
        } = opened;
        let (saved, of_other_pools): (Vec<_>, Vec<_>) = saved
            .into_iter()
            .partition(|saved| pools.contains_key(&*saved.new.pool));
        if !of_other_pools.is_empty() {
            let number = of_other_pools.len();
            tracing::warn!(
                target: "scheduler",
                "{number} jobs wait for pools that are not in --pools; they stay on disk"
            );
        }
        let live = saved.iter().filter_map(|saved| {
            let pool = pools.get(&*saved.new.pool)?;
            let stage = Stage::Queued {
                since: clock.unix_now(),
            };
            Some((
                saved.new.id,
                Live::new(Rc::clone(pool), None, saved.attempts, stage),
            ))
        });
        let state = State {
            live: live.collect(),
            jobs: Jobs::restore(Config::default(), clock.unix_now(), saved),
            requests: HashMap::new(),
            last_request: 0,
            held: HashMap::new(),
            left: Vec::new(),
        };
        let durable = Rc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            clock,
            pools,
            quota,
            committer: RefCell::new(Some(committer)),
            store,
            sealer,
            state: RefCell::new(state),
            reports: RefCell::new(Some(reports)),
            save_error: RefCell::default(),
            keyed: tokio::sync::Mutex::default(),
            deadline: Cell::new(None),
            wake: Notify::new(),
        });
        durable.perform();
        durable
    }

    /// Handles what the store reports, what is due, and what was released. Never ends.
    pub(crate) async fn run(self: Rc<Self>) {
        let Some(mut reports) = self.reports.take() else {
            return;
        };
        let mut prune = tokio::time::interval(PRUNE_INTERVAL);
        loop {
            let wait = self.deadline.get().map(|deadline| {
                let left = deadline.secs_after(self.clock.unix_now()).max(0.0);
                Duration::from_secs_f64(left.min(86_400.0))
            });
            tokio::select! {
                report = reports.next() => match report {
                    Some(report) => self.reported(report),
                    None => return,
                },
                _ = prune.tick() => self.prune(),
                () = self.wake.notified() => self.clear_left(),
                () = sleep(wait) => self.apply(|jobs, now| jobs.advance(now)),
            }
        }
    }

    /// Waits until all that was told to anybody is on disk. Nothing is saved afterwards: what happens while the
    /// scheduler ends, such as workers that lose their connections, is none of the jobs' business.
    pub(crate) fn close(&self) {
        drop(self.committer.take());
    }

    fn reported(&self, report: Report) {
        match report {
            Report::Committed(change) => {
                if self.save_error.take().is_some() {
                    tracing::info!(target: "scheduler", "Jobs can be saved again");
                }
                self.apply(|jobs, _| jobs.committed(change));
            }
            Report::Pruned(pruned) => {
                // An error is logged there; nobody waits for it.
                drop(self.store.run(move |kept| kept.remove_logs(&pruned)));
            }
            Report::Failed { up_to, error } => {
                // Once, and not every second.
                if self.save_error.borrow().as_ref() != Some(&error) {
                    tracing::error!(target: "scheduler", "Cannot save jobs: {error}; retrying");
                    self.save_error.replace(Some(error));
                }
                self.apply(|jobs, _| jobs.not_committed(up_to));
            }
        }
    }

    /// Forgets what ended long ago.
    fn prune(&self) {
        let retention = i64::try_from(RETENTION.as_micros()).unwrap_or(i64::MAX);
        let before = Time::from_micros(self.clock.unix_now().micros().saturating_sub(retention));
        if let Some(committer) = &*self.committer.borrow() {
            committer.prune(before);
        }
    }

    fn clear_left(&self) {
        let left = std::mem::take(&mut self.state.borrow_mut().left);
        if left.is_empty() {
            return;
        }
        self.apply(|jobs, now| {
            for job in left {
                jobs.unwatch(now, job, Departure::Closed);
            }
        });
    }

    /// Reports an event to the jobs, and performs their effects.
    fn apply<R>(&self, event: impl FnOnce(&mut Jobs, pool::Time) -> R) -> R {
        let now = self.clock.unix_now();
        let result = event(&mut self.state.borrow_mut().jobs, now);
        self.perform();
        result
    }

    /// Makes a request that is answered by the jobs' effects.
    fn request(&self) -> (RequestId, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state.borrow_mut();
        state.last_request += 1;
        let id = RequestId(state.last_request);
        state.requests.insert(id, answer);
        (id, answered)
    }
}

/// What clients do.
impl DurableJobs {
    /// A client submits a job, and watches it from now on. When this returns, the job is on disk.
    pub(crate) async fn submit(
        self: &Rc<Self>,
        client: ClientId,
        request: JobRequest,
    ) -> Result<Watching, RpcError> {
        let pool = self.pools.get(request.pool.as_str()).ok_or_else(|| {
            let names: Vec<_> = self.pools.keys().map(PoolName::as_str).collect();
            Refusal::no_such_pool(Shown(&request.pool), &names)
        })?;
        check_labels(&request.labels)?;
        let description = &request.description;
        let reservation = self
            .quota
            .take(&client, description.length(), description.size());
        let reservation = reservation.map_err(|error| RpcError::overloaded(error.to_string()))?;
        let key = request.key.as_deref().map(JobKey::new).transpose();
        let key = key.map_err(|error| RpcError::failed(error.to_string()))?;
        let (new, details) = self.prepare(client, key, &request)?;
        // From the look at the store to the submission: of two with the same key, one waits for the other.
        let turn = match new.key {
            Some(_) => Some(self.keyed.lock().await),
            None => None,
        };
        if let Some(job) = self.ended_with_key(&new.client, new.key.as_ref()).await? {
            return Ok(self.watch_from_now_on(job));
        }
        let mut live = Live::new(
            Rc::clone(pool),
            Some(details),
            0,
            Stage::Queued {
                since: self.clock.unix_now(),
            },
        );
        live.reservation = Some(reservation);
        let (job, answered) = self.add(new, live);
        drop(turn);
        // From here on it is watched, also if the client leaves before it gets the answer.
        let watching = Watching {
            jobs: Rc::clone(self),
            job,
        };
        answered
            .await
            .unwrap_or_else(|oneshot::Canceled| Err(ending()))
            .map(|_| watching)
    }

    /// Returns a job as it is kept: with an id, and with its description sealed.
    fn prepare(
        &self,
        client: ClientId,
        key: Option<JobKey>,
        request: &JobRequest,
    ) -> Result<(NewJob, Details), RpcError> {
        let bits = getrandom::u64()
            .map_err(|error| RpcError::failed(format!("cannot make an id: {error}")))?;
        let id = JobId::from_bits(bits);
        let description = &request.description;
        let sealed = self.sealer.seal(id, &description.to_bytes());
        let details = Details {
            description: sealed.map_err(|error| RpcError::failed(error.to_string()))?,
            kind: description.kind()?,
            labels: request
                .labels
                .iter()
                .cloned()
                .map(convert::stored_label)
                .collect(),
        };
        let new = NewJob {
            id,
            client,
            pool: request.pool.as_str().into(),
            hint: CacheHint::new(&hints::key(description.cache_hint())),
            urgent: request.urgent,
            key,
            terms: convert::terms(request),
        };
        Ok((new, details))
    }

    /// Returns the id of the job, another one if its client has submitted it before, and when it is on disk.
    fn add(&self, new: NewJob, live: Live) -> (JobId, oneshot::Receiver<Answer>) {
        let (request, answered) = self.request();
        let id = new.id;
        self.state.borrow_mut().live.insert(id, live);
        let job = self.apply(|jobs, now| jobs.submit(now, new, request));
        if job != id {
            self.state.borrow_mut().live.remove(&id);
        }
        (job, answered)
    }

    async fn ended_with_key(
        &self,
        client: &ClientId,
        key: Option<&JobKey>,
    ) -> Result<Option<JobId>, RpcError> {
        let Some(key) = key.cloned() else {
            return Ok(None);
        };
        if self.state.borrow().jobs.with_key(client, &key).is_some() {
            return Ok(None);
        }
        let client = client.clone();
        let found = self
            .store
            .run(move |kept| kept.reader.with_key(&client, &key))
            .await;
        found
            .ok_or_else(ending)?
            .map_err(|error| convert::unreadable(&error))
    }

    /// Returns the job of a client whose id this is, or whose id alone begins like this. The client watches it.
    pub(crate) async fn find(
        self: &Rc<Self>,
        client: &ClientId,
        id: &str,
    ) -> Result<Watching, RpcError> {
        let shown = Shown(id).to_string();
        let unknown = || {
            RpcError::failed(format!(
                "you have no job {shown:?}; list your jobs to see their ids"
            ))
        };
        let (first, last) = JobId::beginning_with(id).ok_or_else(unknown)?;
        let client = client.clone();
        let found = self
            .store
            .run(move |kept| kept.reader.in_range(&client, first..=last, 2))
            .await;
        match *found
            .ok_or_else(ending)?
            .map_err(|error| convert::unreadable(&error))?
        {
            [job] => Ok(self.watch_from_now_on(job)),
            [] => Err(unknown()),
            _ => Err(RpcError::failed(format!(
                "several of your jobs begin with {shown:?}; use more of the id"
            ))),
        }
    }

    /// Returns a page of the jobs of a client.
    pub(crate) async fn list(
        &self,
        client: ClientId,
        query: JobQuery,
    ) -> Result<JobPage, RpcError> {
        let now = self.clock.unix_now();
        let query = convert::query(client, query, now);
        let page = self.store.run(move |kept| kept.reader.page(&query)).await;
        let page = page
            .ok_or_else(ending)?
            .map_err(|error| convert::unreadable(&error))?;
        Ok(JobPage {
            jobs: page
                .records
                .iter()
                .map(|record| convert::summary(record, now))
                .collect(),
            next: page.next.map(job_store::Cursor::number),
        })
    }

    async fn record(&self, job: JobId) -> Result<Option<Record>, RpcError> {
        let record = self.store.run(move |kept| kept.reader.record(job)).await;
        record
            .ok_or_else(ending)?
            .map_err(|error| convert::unreadable(&error))
    }

    /// A client watches a job, or the same one again.
    fn watch_from_now_on(self: &Rc<Self>, job: JobId) -> Watching {
        self.apply(|jobs, _| jobs.watch(job));
        Watching {
            jobs: Rc::clone(self),
            job,
        }
    }

    /// A client does not watch a job any more. Safe to call from inside the RPC system.
    fn released(&self, job: JobId) {
        self.state.borrow_mut().left.push(job);
        self.wake.notify_one();
    }

    /// Returns the status of a job, once it has a later version than this.
    pub(crate) async fn watch(
        &self,
        job: JobId,
        version: Option<u64>,
    ) -> Result<DurableStatus, RpcError> {
        let shown = self
            .state
            .borrow()
            .live
            .get(&job)
            .map(|live| live.shown.subscribe());
        if let Some(mut shown) = shown {
            let is_news = |latest: &View| version.is_none_or(|version| latest.version > version);
            // An error means that it has ended meanwhile.
            let seen = shown.wait_for(is_news).await.ok().map(|seen| seen.clone());
            if let Some(seen) = seen {
                return Ok(self.status(job, &seen));
            }
        }
        let Some(record) = self.record(job).await? else {
            return Err(RpcError::failed("the job is not kept any more"));
        };
        let Some((outcome, at)) = record.end else {
            let pool = Shown(&record.pool).to_string();
            return Err(RpcError::failed(format!(
                "the job waits for pool {pool:?}, which this scheduler does not have"
            )));
        };
        let attempts = record.attempts.last().map_or(0, |attempt| attempt.number);
        let stage = convert::stage(&Stage::Ended { outcome, at }, attempts, at, 0, None);
        Ok(DurableStatus {
            version: u64::MAX,
            stage,
        })
    }

    fn status(&self, job: JobId, shown: &View) -> DurableStatus {
        let state = self.state.borrow();
        let live = state.live.get(&job);
        let position = live.and_then(|live| Some(live.pool.ticket_state(live.ticket?)));
        let (ahead, obstacle) = match position {
            Some(TicketState::Queued(position)) => (position.ahead, position.obstacle),
            _ => (0, None),
        };
        let obstacle = obstacle.map(|obstacle| obstacle.to_string());
        let now = self.clock.unix_now();
        let stage = convert::stage(&shown.stage, shown.attempts, now, ahead, obstacle);
        DurableStatus {
            version: shown.version,
            stage,
        }
    }

    /// Reads the log of an attempt, and waits until there is more.
    pub(crate) async fn log(
        &self,
        job: JobId,
        attempt: u32,
        start: u64,
    ) -> Result<DurableLogChunk, RpcError> {
        let attempt = AttemptId {
            job,
            number: attempt,
        };
        if let Some(mut growing) = self.growing_log(attempt)? {
            // An error means that the job has ended meanwhile.
            drop(
                growing
                    .wait_for(|log| log.length > start || log.is_complete)
                    .await,
            );
        }
        let read = self
            .store
            .run(move |kept| kept.logs.read(attempt, start, MAX_CHUNK))
            .await;
        let bytes = match read.ok_or_else(ending)? {
            Ok(bytes) => bytes,
            Err(LogError::Missing(_)) => Vec::new(),
            Err(error) => return Err(RpcError::failed(error.to_string())),
        };
        let next = start.saturating_add(bytes.len() as u64);
        Ok(DurableLogChunk { bytes, next })
    }

    /// Returns the log of an attempt, if it may grow.
    fn growing_log(
        &self,
        attempt: AttemptId,
    ) -> Result<Option<watch::Receiver<LogState>>, RpcError> {
        let state = self.state.borrow();
        let Some(live) = state.live.get(&attempt.job) else {
            return Ok(None);
        };
        // The log of the first attempt can be waited for from the submission on.
        match live.attempts.max(1).cmp(&attempt.number) {
            Ordering::Greater => Ok(None),
            Ordering::Equal => Ok(Some(live.log.subscribe())),
            Ordering::Less => Err(RpcError::failed(format!("{attempt} has not begun"))),
        }
    }

    /// Cancels a job. When this returns, that is on disk.
    pub(crate) async fn cancel(&self, job: JobId) -> Result<(), RpcError> {
        let (request, answered) = self.request();
        let cancelled = self.apply(|jobs, now| jobs.cancel(now, job, CancelledBy::Client, request));
        if let Err(error) = cancelled {
            self.state.borrow_mut().requests.remove(&request);
            return Err(RpcError::failed(error.to_string()));
        }
        answered
            .await
            .unwrap_or_else(|oneshot::Canceled| Err(ending()))
            .map(drop)
    }
}

/// How long a job is kept after its end, with its logs.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often to look for jobs that ended longer ago.
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);

/// The most bytes of a log in one answer.
const MAX_CHUNK: usize = 256 << 10;

impl Live {
    fn new(pool: Rc<Reactor>, details: Option<Details>, attempts: u32, stage: Stage) -> Self {
        Self {
            pool,
            details,
            ticket: None,
            reservation: None,
            promise: None,
            attempts,
            shown: watch::Sender::new(View {
                version: 0,
                stage,
                attempts,
            }),
            log: watch::Sender::new(LogState::default()),
        }
    }
}

/// Checks what finds a job again: a name has one value.
fn check_labels(labels: &[Label]) -> Result<(), RpcError> {
    let mut names = BTreeSet::new();
    match labels.iter().find(|label| !names.insert(&label.name)) {
        Some(twice) => {
            let name = Shown(&twice.name).to_string();
            Err(RpcError::failed(format!(
                "label {name:?} is given twice; give each name one value"
            )))
        }
        None => Ok(()),
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The error while the scheduler ends.
fn ending() -> RpcError {
    RpcError::disconnected("the scheduler is shutting down")
}
