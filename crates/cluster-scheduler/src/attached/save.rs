//! The attached jobs that are to be saved: those that have changed. A task saves them, a piece at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use tokio::time::Instant;
use visible::counted;

use super::{AttachedJob, AttachedJobs, LeftOut};

/// How many jobs are saved at once: what takes some milliseconds, as changes of durable jobs wait for that.
pub(crate) const PIECE: usize = 500;

/// How long to wait before each piece. A job that ends within that time is saved once; and however many jobs there
/// are, not more than a thousand a second are saved, which is a small part of what a disk and a core can do.
pub(crate) const SAVE_INTERVAL: Duration = Duration::from_millis(500);

/// How many jobs may wait to be saved: about 50 MB. Those that are submitted while there are more are left out.
pub(super) const MAX_UNSAVED: usize = 100_000;

/// How many jobs are saved when the scheduler ends: what takes less than a second.
pub(crate) const MAX_SAVED_AT_END: usize = 10_000;

/// How often it is logged that something was left out.
const REMINDER: Duration = Duration::from_secs(60);

/// The jobs that are to be saved.
#[derive(Default)]
pub(super) struct SaveQueue {
    /// Each is in it once. The first to change is the first to be saved.
    jobs: RefCell<VecDeque<Rc<AttachedJob>>>,
    /// There is something to save.
    added: tokio::sync::Notify,
    /// Waits for the report on the piece that is being saved.
    waiting: Cell<Option<oneshot::Sender<Result<(), String>>>>,
    /// Why the latest piece could not be saved.
    error: RefCell<Option<String>>,
    /// When it was last logged that something was left out.
    last_reminder: Cell<Option<Instant>>,
}

impl SaveQueue {
    pub(super) fn is_full(&self) -> bool {
        self.jobs.borrow().len() >= MAX_UNSAVED
    }

    pub(super) fn push(&self, job: &Rc<AttachedJob>) {
        if !job.is_unsaved.replace(true) {
            self.jobs.borrow_mut().push_back(Rc::clone(job));
            self.added.notify_one();
        }
    }

    fn take(&self, at_most: usize) -> Vec<Rc<AttachedJob>> {
        let mut jobs = self.jobs.borrow_mut();
        let count = jobs.len().min(at_most);
        jobs.drain(..count)
            .inspect(|job| job.is_unsaved.set(false))
            .collect()
    }
}

impl AttachedJobs {
    /// Waits until there is something to save.
    pub(crate) async fn until_unsaved(&self) {
        self.unsaved.added.notified().await;
    }

    /// Returns jobs that are to be saved, at most so many.
    pub(crate) fn take_unsaved(&self, at_most: usize) -> Vec<Rc<AttachedJob>> {
        self.unsaved.take(at_most)
    }

    /// These could not be saved.
    pub(crate) fn not_saved(&self, jobs: &[Rc<AttachedJob>]) {
        jobs.iter().for_each(|job| self.unsaved.push(job));
    }

    /// A piece is being saved. What is returned is the report on it.
    pub(crate) fn saving(&self) -> oneshot::Receiver<Result<(), String>> {
        let (report, saved) = oneshot::channel();
        self.unsaved.waiting.set(Some(report));
        saved
    }

    /// The store reports on the piece that was being saved.
    pub(crate) fn saved(&self, saved: Result<(), String>) {
        if let Some(waiting) = self.unsaved.waiting.take() {
            // An error means that the scheduler ends.
            drop(waiting.send(saved));
        }
    }

    pub(crate) fn log_left_out(&self) {
        let LeftOut { jobs, logs } = self.left_out.get();
        let now = Instant::now();
        let last = self.unsaved.last_reminder.get();
        let is_due = last.is_none_or(|last| now.duration_since(last) >= REMINDER);
        if (jobs, logs) != (0, 0) && is_due {
            tracing::warn!(
                target: "scheduler",
                "Left {} and {} out of the history: there were too many at a time",
                counted(jobs, "attached job"), counted(logs, "log")
            );
            self.unsaved.last_reminder.set(Some(now));
            self.left_out.set(LeftOut::default());
        }
    }

    /// The disk refused a piece, or takes it again. Logged once, not every time.
    pub(crate) fn log_refusal(&self, error: Option<&String>) {
        let before = self.unsaved.error.replace(error.cloned());
        match error {
            Some(error) if before.as_ref() != Some(error) => tracing::error!(
                target: "scheduler", "Cannot save attached jobs: {error}; retrying"
            ),
            None if before.is_some() => {
                tracing::info!(target: "scheduler", "Attached jobs can be saved again");
            }
            _ => {}
        }
    }
}
