//! Durable jobs: those that outlive the connections of their clients, and this process.
//!
//! [`Jobs`] decides what becomes of each, and [`job_store`] keeps it. Here is what connects them with clients, with the
//! pools, and with workers: each event is reported to the jobs, and their effects are performed. An attempt is an
//! ordinary ticket of its pool, whose client is this module.

mod activity;
mod archiver;
mod attached;
mod audit;
pub(crate) mod convert;
mod describe;
mod details;
mod explain;
mod follow;
mod live;
mod log_store;
mod lookup;
mod opened;
mod outcome;
mod past;
mod perform;
mod phase_seconds;
mod progress;
mod queue;
mod recent_logs;
mod report;
mod retention;
mod retry;
mod returning;
mod saving;
mod state;
mod store_thread;
mod stored_logs;
mod submission;
mod sweep;
mod timeline;
mod times;
mod uploads;
mod warmth;
mod watched;
mod watching;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::{Rc, Weak};
use std::time::Duration;

use cluster_api::RpcError;
use futures::StreamExt as _;
use futures::channel::{mpsc, oneshot};
use job_store::{Committer, Report, Sealer, Write};
use jobs::{AttemptId, ChangeId, JobId, Jobs, RequestId};
use pool::Time;
use tokio::sync::Notify;

use self::archiver::{Archived, Archiver};
use self::audit::AuditLog;
pub(crate) use self::log_store::LogStoreStats;
use self::log_store::{LogStoreThread, Uploaded};
pub use self::opened::KeepError;
use self::opened::Threads;
pub(crate) use self::opened::{LogStorePlace, Opened, Places, open};
#[cfg(test)]
pub(crate) use self::phase_seconds::PhaseHistograms;
pub(crate) use self::phase_seconds::PhaseSeconds;
use self::recent_logs::RecentLogs;
pub(crate) use self::report::{JobsReport, LogStoreReport};
use self::retention::{LogUsage, PRUNE_INTERVAL};
use self::state::{State, restored};
use self::store_thread::StoreThread;
use self::uploads::Uploads;
pub(crate) use self::warmth::Warmth;
pub(crate) use self::watching::Watching;
use crate::attached::AttachedJobs;
use crate::clients::Clients;
use crate::clock::Clock;
use crate::config::PoolName;
use crate::job_settings::JobSettings;
use crate::queue_quota::QueueQuota;
use crate::reactor::{DurableOwner, Reactor};

/// All durable jobs of a scheduler.
pub(crate) struct DurableJobs {
    this: Weak<Self>,
    clock: Clock,
    settings: JobSettings,
    pools: BTreeMap<PoolName, Rc<Reactor>>,
    clients: Rc<RefCell<Clients>>,
    quota: Rc<QueueQuota>,
    audit: AuditLog,
    logs: LogUsage,
    recent_logs: RefCell<RecentLogs>,
    phase_seconds: PhaseSeconds,
    /// `None` once the scheduler ends: nothing is saved any more then.
    committer: RefCell<Option<Committer>>,
    /// Changes for the committer.
    unsent: RefCell<Vec<(ChangeId, Write)>>,
    /// Reads and writes logs.
    store: StoreThread,
    /// Reads what clients ask for. A page of the history may take some 10 ms.
    records: StoreThread,
    /// Reads descriptions, for which workers wait.
    descriptions: StoreThread,
    /// Ends after `store`, which has its inbox.
    archiver: Archiver,
    /// Keeps logs for several schedulers, if there is one.
    log_store: Option<LogStoreThread>,
    uploads: RefCell<Uploads>,
    /// The logs of attempts that have ended, of which this disk may have only a part: another scheduler led then. Their
    /// workers may return with the rest.
    partial_logs: RefCell<HashSet<AttemptId>>,
    /// Up to where the store was looked through for logs that are not kept.
    swept_up_to: Cell<Option<AttemptId>>,
    sealer: Sealer,
    state: RefCell<State>,
    /// Those in the history that are not durable.
    attached: Rc<AttachedJobs>,
    /// Taken by [`DurableJobs::run`].
    reports: RefCell<Option<mpsc::UnboundedReceiver<Report>>>,
    /// Logs that were compressed. Taken by [`DurableJobs::run`].
    archived: RefCell<Option<mpsc::UnboundedReceiver<Archived>>>,
    /// Logs that were uploaded. Taken by [`DurableJobs::run`].
    uploaded: RefCell<Option<mpsc::UnboundedReceiver<Uploaded>>>,
    /// Why jobs cannot be saved at present.
    save_error: RefCell<Option<String>>,
    /// Held from the look for a key to the submission with it.
    keyed: tokio::sync::Mutex<()>,
    /// When something is due next.
    deadline: Cell<Option<Time>>,
    /// Wakes the task: the deadline has moved, or something was released.
    wake: Notify,
}

/// What a call that waits for the disk gets.
type Answer = Result<JobId, RpcError>;

impl DurableJobs {
    /// Goes on with what was kept.
    pub(crate) fn new(
        opened: Opened,
        settings: JobSettings,
        clock: Clock,
        pools: BTreeMap<PoolName, Rc<Reactor>>,
        clients: Rc<RefCell<Clients>>,
        quota: Rc<QueueQuota>,
    ) -> Rc<Self> {
        let Opened {
            committer,
            reports,
            threads,
            sealer,
            saved,
            past: _,
            description_sizes,
            totals,
        } = opened;
        let Threads {
            store,
            records,
            descriptions,
            archiver,
            archived,
            log_store,
            uploaded,
        } = threads;
        let (saved, of_other_pools): (Vec<_>, Vec<_>) = saved
            .into_iter()
            .partition(|saved| pools.contains_key(&*saved.new.pool));
        warn_of_other_pools(of_other_pools.len());
        let live = restored(&saved, &description_sizes, &pools, clock);
        let phase_seconds = PhaseSeconds::of_pools(pools.keys().map(PoolName::as_str));
        let jobs = Jobs::restore(settings.machine(), clock.unix_now(), saved);
        let durable = Rc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            clock,
            settings,
            pools,
            clients,
            quota,
            audit: AuditLog::after(totals.last_audit),
            logs: LogUsage::new(totals.log_bytes),
            recent_logs: RefCell::default(),
            phase_seconds,
            committer: RefCell::new(Some(committer)),
            unsent: RefCell::default(),
            store,
            records,
            descriptions,
            archiver,
            log_store,
            uploads: RefCell::default(),
            partial_logs: RefCell::default(),
            swept_up_to: Cell::new(None),
            sealer,
            state: RefCell::new(State::new(jobs, live)),
            attached: AttachedJobs::new(clock),
            reports: RefCell::new(Some(reports)),
            archived: RefCell::new(Some(archived)),
            uploaded: RefCell::new(Some(uploaded)),
            save_error: RefCell::default(),
            keyed: tokio::sync::Mutex::default(),
            deadline: Cell::new(None),
            wake: Notify::new(),
        });
        durable.take_over();
        durable
    }

    /// Goes on with the jobs that were restored.
    fn take_over(&self) {
        for pool in self.pools.values() {
            let owner: Weak<dyn DurableOwner> = Weak::clone(&self.this) as _;
            pool.set_durable_owner(owner);
        }
        self.perform();
        let restored = self.state.borrow().jobs.len();
        if restored > 0 {
            tracing::info!(target: "scheduler", "Continuing {restored} durable jobs");
        }
        self.show_kept_logs();
    }

    /// Shows how much is kept of the logs of what workers may return with.
    fn show_kept_logs(&self) {
        let Some(this) = self.this.upgrade() else {
            return;
        };
        let attempts: Vec<_> = {
            let state = self.state.borrow();
            let away = state.live.keys().filter_map(|id| {
                let attempt = state.jobs.stage(*id)?.attempt()?;
                Some(AttemptId {
                    job: *id,
                    number: attempt.number,
                })
            });
            away.collect()
        };
        tokio::task::spawn_local(async move {
            for attempt in attempts {
                this.kept_length(attempt).await;
            }
        });
    }

    /// Handles what the store reports, what is due, and what was released. Never ends.
    pub(crate) async fn run(self: Rc<Self>) {
        let (Some(mut reports), Some(mut archived), Some(mut uploaded)) = (
            self.reports.take(),
            self.archived.take(),
            self.uploaded.take(),
        ) else {
            return;
        };
        tokio::task::spawn_local(Rc::clone(&self).sweep_logs());
        let mut prune = tokio::time::interval(PRUNE_INTERVAL);
        let mut wipe = tokio::time::interval(retry::wipe_interval(self.settings.retry_for));
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
                Some(Archived { attempt, bytes, length }) = archived.next() => {
                    self.log_is_compressed(attempt, bytes, length);
                }
                Some(uploaded) = uploaded.next() => self.log_is_uploaded(uploaded),
                _ = prune.tick() => {
                    self.prune();
                    tokio::task::spawn_local(Rc::clone(&self).sweep_log_store());
                }
                _ = wipe.tick() => self.wipe(),
                () = self.wake.notified() => self.clear_left(),
                () = sleep(wait) => self.apply(|jobs, now| jobs.advance(now)),
            }
        }
    }

    /// Waits until all that was told to anybody is on disk. Nothing is saved afterwards: what happens while the
    /// scheduler ends, such as workers that lose their connections, changes no job.
    pub(crate) fn close(&self) {
        self.save_attached_at_end();
        self.send_unsent();
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
            Report::AttachedSaved(saved) => self.attached.saved(saved),
            Report::Pruned(pruned) => self.pruned(pruned),
            Report::Expired(expired) => self.expired(expired),
            Report::Cleanup(cleanup, result) => Self::cleanup_reported(cleanup, result),
            Report::PhasesSaved(result) => Self::phases_reported(result),
            Report::Appended(up_to) => {
                self.uploads_saved(up_to);
                self.audit.appended(up_to);
            }
            Report::NotAppended { up_to, error } => self.audit.not_appended(up_to, &error),
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

    fn clear_left(&self) {
        let left = std::mem::take(&mut self.state.borrow_mut().left);
        if left.is_empty() {
            return;
        }
        self.apply(|jobs, now| {
            for (job, departure) in left {
                jobs.unwatch(now, job, departure);
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
        let id = state.next_request();
        state.requests.insert(id, answer);
        (id, answered)
    }
}

fn warn_of_other_pools(number: usize) {
    if number > 0 {
        tracing::warn!(
            target: "scheduler",
            "{number} jobs wait for pools that are not in --pools; they stay on disk"
        );
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
