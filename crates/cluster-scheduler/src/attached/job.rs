//! An attached job, as the history follows it.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Weak;
use std::sync::Arc;

use cluster_api::{EncodedDescription, Job, WeakJob};
use job_store::AttachedRecord;
use jobs::{AttemptId, JobId, Stage};
use pool::{CacheHint, ClientId, TicketId, Time, WorkerName};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::AttachedJobs;
use crate::hints;

/// A job, from its submission until its end and its log are stored. Those who have it report what becomes of it.
pub(crate) struct AttachedJob {
    pub(super) jobs: Weak<AttachedJobs>,
    pub(super) id: JobId,
    client: ClientId,
    pool: Arc<str>,
    hint: CacheHint,
    kind: Arc<str>,
    urgent: bool,
    submitted: Time,
    /// Its number in its pool, once it has one.
    pub(super) ticket: OnceCell<TicketId>,
    pub(super) stage: RefCell<Stage>,
    /// The worker that took it, and when.
    pub(super) attempt: OnceCell<(WorkerName, Time)>,
    /// Whether its worker tells when its parts began and ended.
    pub(super) has_times: Cell<bool>,
    /// Grows with each stage.
    pub(super) version: Cell<u64>,
    pub(super) reference: RefCell<Reference>,
    /// How much of its log is stored, in bytes.
    log_length: Cell<u64>,
    /// Nothing more of its log will be stored.
    is_log_complete: Cell<bool>,
    /// The stage or the log has changed.
    pub(super) changed: Notify,
    /// Whether its log is read, or is about to be.
    pub(super) log_turn: Cell<LogTurn>,
    /// Whether it is among those that are to be saved.
    pub(super) is_unsaved: Cell<bool>,
    /// Whether it is in the store.
    is_saved: Cell<bool>,
    /// Whether its end is saved.
    is_end_saved: Cell<bool>,
    /// How many operators have asked the worker to stop it, but for those whose calls failed.
    pub(super) operator_stops: Cell<u32>,
}

/// The scheduler's reference to the job on its worker.
#[derive(Default)]
pub(super) enum Reference {
    /// No worker has it, or its log was read.
    #[default]
    None,
    /// While it runs: only its client keeps it going.
    Weak(WeakJob),
    /// It has ended, and there is nothing to keep going: this keeps its log until that was read.
    Ended(Job),
}

/// Whether the log of a job is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LogTurn {
    /// It is not, and will not be.
    #[default]
    Never,
    /// Other logs are before it.
    Waiting,
    /// It is, or was.
    Begun,
}

impl Reference {
    /// Returns the job, if somebody holds it. See [`WeakJob::upgrade`].
    fn job(&self) -> Option<Job> {
        match self {
            Self::None => None,
            Self::Weak(job) => job.upgrade(),
            Self::Ended(job) => Some(job.clone()),
        }
    }
}

impl AttachedJob {
    /// Returns its id.
    pub(crate) fn id(&self) -> JobId {
        self.id
    }

    pub(super) fn new(
        jobs: Weak<AttachedJobs>,
        id: JobId,
        client: ClientId,
        pool: &str,
        description: &EncodedDescription,
        urgent: bool,
        submitted: Time,
    ) -> Self {
        Self {
            jobs,
            id,
            client,
            pool: pool.into(),
            hint: CacheHint::new(&hints::key(description.cache_hint())),
            // A kind that is too long to be kept is not worth refusing the job.
            kind: description
                .kind()
                .map_or_else(|_| "custom".into(), Into::into),
            urgent,
            submitted,
            ticket: OnceCell::new(),
            stage: RefCell::new(Stage::Queued { since: submitted }),
            attempt: OnceCell::new(),
            has_times: Cell::default(),
            version: Cell::new(1),
            reference: RefCell::default(),
            log_length: Cell::default(),
            is_log_complete: Cell::default(),
            changed: Notify::new(),
            log_turn: Cell::default(),
            is_unsaved: Cell::new(false),
            is_saved: Cell::new(false),
            is_end_saved: Cell::new(false),
            operator_stops: Cell::default(),
        }
    }

    /// Returns its only attempt.
    pub(crate) fn attempt_id(&self) -> AttemptId {
        AttemptId {
            job: self.id,
            number: 1,
        }
    }

    /// Returns how far it has come.
    pub(crate) fn stage(&self) -> Stage {
        self.stage.borrow().clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Ended { .. })
    }

    /// Returns the number of its latest attempt; 0 if no worker has taken it.
    pub(crate) fn attempts(&self) -> u32 {
        u32::from(self.attempt.get().is_some())
    }

    /// Returns whether its end and its log are stored.
    pub(super) fn is_stored(&self) -> bool {
        self.is_end_saved.get() && self.is_log_complete.get()
    }

    /// It is in the store, at least as it was at first.
    pub(crate) fn saved(&self) {
        if !self.is_saved.replace(true) {
            self.changed.notify_waiters();
        }
    }

    /// Waits until it is in the store. What is kept beside it is dropped before.
    pub(crate) async fn until_saved(&self) {
        loop {
            let changed = self.changed();
            if self.is_saved.get() {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn end_saved(&self) {
        self.is_end_saved.set(true);
    }

    /// Returns it as it is to be saved.
    pub(crate) fn record(&self) -> AttachedRecord {
        let end = match &*self.stage.borrow() {
            Stage::Ended { outcome, at } => Some((outcome.clone(), *at)),
            _ => None,
        };
        AttachedRecord {
            id: self.id,
            client: self.client.clone(),
            pool: Arc::clone(&self.pool),
            hint: self.hint.clone(),
            kind: Arc::clone(&self.kind),
            urgent: self.urgent,
            submitted: self.submitted,
            attempt: self.attempt.get().cloned(),
            end,
        }
    }
}

/// What is known of it, and what is done with it from elsewhere.
impl AttachedJob {
    /// Returns the name of its pool, and its ticket there, once it has one.
    pub(crate) fn ticket(&self) -> Option<(&str, TicketId)> {
        Some((&self.pool, *self.ticket.get()?))
    }

    /// Returns who submitted it.
    pub(super) fn client(&self) -> &ClientId {
        &self.client
    }

    /// Returns the name of its pool.
    pub(crate) fn pool(&self) -> Arc<str> {
        Arc::clone(&self.pool)
    }

    /// Returns whether its worker tells when its parts began and ended.
    pub(crate) fn has_times(&self) -> bool {
        self.has_times.get()
    }

    /// Returns when it was submitted.
    pub(crate) fn submitted(&self) -> Time {
        self.submitted
    }

    /// Returns a number that grows with each stage.
    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    /// Returns how much of its log is stored, and whether that is all there will be.
    pub(crate) fn log(&self) -> (u64, bool) {
        (self.log_length.get(), self.is_log_complete.get())
    }

    /// Waits for the next change of its stage or its log after this call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Returns whether a worker has handed over the job.
    pub(crate) fn was_taken(&self) -> bool {
        !matches!(*self.reference.borrow(), Reference::None)
    }

    /// Returns the job, if somebody holds it. See [`WeakJob::upgrade`].
    pub(crate) fn job(&self) -> Option<Job> {
        self.reference.borrow().job()
    }

    /// The job has ended: it is held until its log was read.
    pub(super) fn hold(&self, job: Job) {
        self.reference.replace(Reference::Ended(job));
    }

    /// More of its log is stored.
    pub(crate) fn log_grew(&self, length: u64) {
        self.log_length.set(length);
        self.changed.notify_waiters();
    }

    /// Nothing more of its log will be stored.
    pub(crate) fn log_completed(&self) {
        self.is_log_complete.set(true);
        self.release();
        self.changed.notify_waiters();
    }

    /// Releases the job if it has ended. If it runs, the reference is a weak one.
    pub(super) fn release(&self) {
        if self.has_ended() {
            drop(self.reference.take());
        }
    }
}
