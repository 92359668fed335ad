//! Decides what becomes of a job that outlives the connections of its client, its worker and its scheduler.
//!
//! [`Jobs`] is a plain value, like the pool beside it: it performs no I/O and never reads a clock. Callers report
//! events and the time, then drain [`Jobs::next_effect`] for what they must do. The pool decides *which worker does
//! which job next*; this decides *what becomes of the job*: attempts, limits, cancellation, workers that leave and
//! return, and its one outcome.
//!
//! ```
//! use jobs::{Change, Config, Effect, JobId, Jobs, NewJob, RequestId, Terms};
//! use pool::{CacheHint, ClientId, Time};
//!
//! let mut jobs = Jobs::new(Config::default());
//! let new = NewJob {
//!     id: JobId::from_bits(0x5eed),
//!     client: ClientId::new("alice")?,
//!     pool: "linux-x86_64".into(),
//!     hint: CacheHint::new("git/ocaml"),
//!     urgent: false,
//!     key: None,
//!     terms: Terms::default(),
//! };
//! jobs.submit(Time::EPOCH, new, RequestId(1));
//!
//! let Some(Effect::Save(number, Change::Submitted { .. })) = jobs.next_effect() else { panic!() };
//! assert!(matches!(jobs.next_effect(), Some(Effect::Enqueue { .. })));
//! // The submission is answered once it is on disk, and not before.
//! assert_eq!(jobs.next_effect(), None);
//! jobs.committed(number);
//! assert!(matches!(jobs.next_effect(), Some(Effect::Answer { request: RequestId(1), .. })));
//! # Ok::<(), pool::NameError>(())
//! ```
//!
//! # Durable before reported
//!
//! What a peer receives is on disk first: a client's job id, a worker's attempt, a watcher's outcome. So each change is
//! an effect with a number ([`Effect::Save`]), and the effects that report it are held until [`Jobs::committed`] is
//! called with that number. After a crash, [`Jobs::restore`] continues from what was saved. No peer has seen anything
//! else.
//!
//! # One outcome
//!
//! Only the *current* attempt of a job, the latest one that was not given up, decides how the job ends. A cancelled job
//! has ended at once, and its attempt is given up, like that of a worker that does not return in time. The end of such
//! an attempt is saved as the attempt's only. A worker that returns with one must forget it.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod change;
mod check;
mod clients;
mod effect;
mod ending;
mod fault;
mod id;
mod job;
mod kept;
mod limits;
mod outbox;
mod outcome;
mod restore;
mod stats;
mod terms;
mod workers;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

pub use pool::Time;
use pool::{ClientId, WorkerName};

pub use change::{Change, Saved, SavedStage};
pub use clients::CancelError;
pub use effect::{Effect, HeldAnswer};
pub use fault::Fault;
pub use id::{
    AttemptId, ChangeId, IdError, JobId, JobKey, JobKeyError, MAX_JOB_KEY_BYTES, RequestId,
};
use job::Job;
pub use job::{Attempt, NewJob, Stage};
pub use kept::{CancelReason, DeleteReason, Kept, KeptEffect, KeptLimits};
use outbox::Outbox;
pub use outcome::{AttemptEnd, CancelledBy, Limit, Loss, LossReason, Outcome, Verdict};
pub use stats::{Stats, Totals};
pub use terms::{DEFAULT_ATTEMPTS, Departure, ReturnTimeouts, Terms, Unwatched};
use workers::Settling;
pub use workers::{Held, HeldState};

/// What holds for all jobs.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a worker that has left may take to return before its attempts are given up.
    pub return_timeout: Duration,
    /// A fault that a test plants.
    #[cfg(feature = "faults")]
    pub fault: Option<Fault>,
}

impl Config {
    /// Returns the defaults, but for the time that workers have to return.
    pub fn with_return_timeout(return_timeout: Duration) -> Self {
        Self {
            return_timeout,
            #[cfg(feature = "faults")]
            fault: None,
        }
    }
}

impl Default for Config {
    /// Workers have five minutes to return.
    fn default() -> Self {
        Self::with_return_timeout(Duration::from_secs(300))
    }
}

/// The jobs that have not ended, and those whose end is not on disk yet.
#[derive(Debug, Default)]
pub struct Jobs {
    config: Config,
    /// The latest time that was reported.
    now: Time,
    /// Boxed, as the nodes of the map are only two thirds full.
    jobs: BTreeMap<JobId, Box<Job>>,
    /// The keys of these jobs.
    keys: BTreeMap<(ClientId, JobKey), JobId>,
    /// The current attempts of each worker, connected or not.
    workers: BTreeMap<WorkerName, BTreeSet<AttemptId>>,
    /// The attempts that have ended, or whose logs have, but are not acknowledged yet.
    settling: BTreeMap<AttemptId, Settling>,
    /// When each job reaches a limit.
    alarms: BTreeSet<(Time, JobId)>,
    /// The jobs that have ended, by the changes that save it.
    ending: VecDeque<(ChangeId, JobId)>,
    outbox: Outbox,
    /// Since when the ends of attempts are known that are not acknowledged yet.
    unacknowledged: BTreeMap<AttemptId, Time>,
    totals: Totals,
}

/// Making it, and what to do next.
impl Jobs {
    /// Returns no jobs.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Returns the next thing the caller must do, or `None` when there is nothing. Call until `None` after any event.
    pub fn next_effect(&mut self) -> Option<Effect> {
        let effect = self.outbox.next()?;
        self.note(&effect);
        Some(effect)
    }

    /// All changes up to `change` are on disk.
    pub fn committed(&mut self, change: ChangeId) {
        let due = self.outbox.committed(change);
        self.pass_on(due);
        let committed = self.outbox.last_committed();
        while let Some((saved_by, job)) = self.ending.front().copied()
            && saved_by <= committed
        {
            self.ending.pop_front();
            self.drop_job(job);
        }
    }

    /// Passes on effects that were held, as far as they still make sense.
    fn pass_on(&mut self, due: alloc::vec::Vec<Effect>) {
        for effect in due {
            let effect = match effect {
                // The job was cancelled meanwhile, or its worker left.
                Effect::Start { attempt, worker } if !self.is_current(attempt) => {
                    Effect::Unassign { attempt, worker }
                }
                Effect::Start { attempt, worker } => {
                    self.received(attempt);
                    Effect::Start { attempt, worker }
                }
                other => other,
            };
            self.outbox.at_once(effect);
        }
    }

    /// Nothing after the last committed change could be saved up to `change`. Submissions among those are refused; all
    /// else is to be tried again until it succeeds.
    pub fn not_committed(&mut self, change: ChangeId) {
        let committed = self.outbox.last_committed();
        let refused = |job: &Job| job.submission > committed && job.submission <= change;
        let refused = self
            .jobs
            .values()
            .filter(|job| refused(job))
            .map(|job| job.new.id);
        let refused: BTreeSet<JobId> = refused.collect();
        self.ending.retain(|(_, ending)| !refused.contains(ending));
        for job in &refused {
            self.leave_queue_or_worker(*job);
            self.drop_job(*job);
        }
        self.outbox.refuse(&refused);
        let due = self.outbox.discard(&refused);
        self.pass_on(due);
    }

    fn is_current(&self, id: AttemptId) -> bool {
        self.jobs
            .get(&id.job)
            .is_some_and(|job| job.has(id).is_some())
    }

    fn is_queued(&self, id: JobId) -> bool {
        matches!(self.stage(id), Some(Stage::Queued { .. }))
    }

    /// A job that is refused may be in its queue, or a worker may have been chosen for it.
    fn leave_queue_or_worker(&mut self, id: JobId) {
        match self.stage(id).cloned() {
            Some(Stage::Queued { .. }) => self.outbox.at_once(Effect::Withdraw { job: id }),
            Some(Stage::Assigned(Attempt { number, worker, .. })) => {
                self.release(&worker, AttemptId { job: id, number });
            }
            // It has ended, or no worker could have it yet.
            _ => {}
        }
    }

    fn drop_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else {
            return;
        };
        if let Some(alarm) = job.alarm {
            self.alarms.remove(&(alarm, id));
        }
        if let Some(key) = job.new.key {
            self.keys.remove(&(job.new.client, key));
        }
    }
}

/// What is known.
impl Jobs {
    /// Returns how many jobs there are, those included whose end is not on disk yet.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Tells whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Returns how far a job has come, saved or not; `None` when it has ended and that is saved, or there is no such
    /// job.
    pub fn stage(&self, job: JobId) -> Option<&Stage> {
        self.jobs.get(&job).map(|job| &job.stage)
    }

    /// Returns what was submitted; `None` for a job that has ended, as [`stage`](Self::stage).
    pub fn submitted(&self, job: JobId) -> Option<&NewJob> {
        self.jobs.get(&job).map(|job| &job.new)
    }

    /// Returns the attempts of a job that were lost; none for a job that has ended, as [`stage`](Self::stage).
    pub fn losses(&self, job: JobId) -> &[Loss] {
        self.jobs.get(&job).map_or(&[], |job| &job.losses)
    }

    /// Returns the job that a client has submitted with a key, if it is still here.
    pub fn with_key(&self, client: &ClientId, key: &JobKey) -> Option<JobId> {
        self.keys.get(&(client.clone(), key.clone())).copied()
    }
}
