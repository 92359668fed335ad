//! Durable jobs: those that outlive the connections of their clients, and this process.
//!
//! [`Jobs`] decides what becomes of each, and [`job_store`] keeps it. Here is what connects them with clients, with the
//! pools, and with workers: each event is reported to the jobs, and their effects are performed. An attempt is an
//! ordinary ticket of its pool, whose client is this module.

mod convert;
mod details;
mod follow;
mod live;
mod lookup;
mod perform;
mod progress;
mod retry;
mod store_thread;
mod submission;
mod watching;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;

use cluster_api::RpcError;
use futures::StreamExt as _;
use futures::channel::{mpsc, oneshot};
use job_store::logs::{LogError, Logs};
use job_store::{Committer, OpenError, Report, Sealer, StoreError, Writer as _, sqlite};
use jobs::{AttemptId, Config, Departure, JobId, Jobs, RequestId, Saved};
use pool::Time;
use tokio::sync::{Notify, watch};

use self::live::{Live, LogState};
use self::perform::HeldAssignment;
use self::store_thread::StoreThread;
pub(crate) use self::watching::Watching;
use crate::clients::Clients;
use crate::clock::Clock;
use crate::config::PoolName;
use crate::queue_quota::QueueQuota;
use crate::reactor::Reactor;

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
    /// How long a job that did not succeed can be retried.
    pub(crate) retry_for: Duration,
}

/// What was kept, before the pools are there.
pub(crate) struct Opened {
    committer: Committer,
    reports: mpsc::UnboundedReceiver<Report>,
    store: StoreThread,
    sealer: Sealer,
    retry_for: Duration,
    saved: Vec<Saved>,
}

/// All durable jobs of a scheduler.
pub(crate) struct DurableJobs {
    this: Weak<Self>,
    clock: Clock,
    pools: BTreeMap<PoolName, Rc<Reactor>>,
    clients: Rc<RefCell<Clients>>,
    quota: Rc<QueueQuota>,
    /// `None` once the scheduler ends: nothing is saved any more then.
    committer: RefCell<Option<Committer>>,
    store: StoreThread,
    sealer: Sealer,
    retry_for: Duration,
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
    /// The logs of jobs that have ended before their workers stopped: they still grow.
    ending_logs: BTreeMap<AttemptId, watch::Sender<LogState>>,
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
        retry_for,
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
        retry_for,
        saved,
    })
}

impl DurableJobs {
    /// Goes on with what was kept.
    pub(crate) fn new(
        opened: Opened,
        clock: Clock,
        pools: BTreeMap<PoolName, Rc<Reactor>>,
        clients: Rc<RefCell<Clients>>,
        quota: Rc<QueueQuota>,
    ) -> Rc<Self> {
        let Opened {
            committer,
            reports,
            store,
            sealer,
            retry_for,
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
            let live = Live::new(Rc::clone(pool), None, saved.attempts, clock.unix_now());
            Some((saved.new.id, live))
        });
        let state = State {
            live: live.collect(),
            ending_logs: BTreeMap::new(),
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
            clients,
            quota,
            committer: RefCell::new(Some(committer)),
            store,
            sealer,
            retry_for,
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
        let mut wipe = tokio::time::interval(retry::wipe_interval(self.retry_for));
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
                _ = wipe.tick() => self.wipe(),
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

/// How long a job is kept after its end, with its logs.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// How often to look for jobs that ended longer ago.
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);

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
