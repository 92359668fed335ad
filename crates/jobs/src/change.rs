//! What is saved, and what can be restored from it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pool::Time;

use crate::{Attempt, AttemptEnd, AttemptId, JobId, Loss, NewJob, Outcome};

/// Something to save, wholly or not at all, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// There is a new job. Its description is saved with it.
    Submitted {
        /// The job.
        new: Box<NewJob>,
        /// When it was submitted.
        at: Time,
    },
    /// The pool has given the job a place in its queue.
    Placed {
        /// The job.
        job: JobId,
        /// The place.
        fair_start: Time,
    },
    /// A worker was chosen.
    Assigned {
        /// The job.
        job: JobId,
        /// The attempt.
        attempt: Attempt,
    },
    /// An attempt that was given up has ended. Nothing changes if its end is known already.
    AttemptEnded {
        /// The attempt.
        attempt: AttemptId,
        /// How it ended.
        end: AttemptEnd,
        /// When that was known.
        at: Time,
    },
    /// The job waits again. If there is a loss, its attempt has ended with it.
    Requeued {
        /// The job.
        job: JobId,
        /// Since when.
        since: Time,
        /// The attempt that was lost; `None` when its worker never received it.
        loss: Option<Loss>,
    },
    /// The job has ended. If it has succeeded, its description is wiped; else it may be retried. If the outcome is
    /// that of an attempt, its latest one has ended with it.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        outcome: Outcome,
        /// When.
        at: Time,
    },
}

impl Change {
    /// Returns the job that it is about.
    pub fn job(&self) -> JobId {
        match self {
            Self::Submitted { new, .. } => new.id,
            Self::AttemptEnded { attempt, .. } => attempt.job,
            Self::Placed { job, .. }
            | Self::Assigned { job, .. }
            | Self::Requeued { job, .. }
            | Self::Ended { job, .. } => *job,
        }
    }
}

impl Change {
    /// Returns how an attempt ended with this change, and its number; `None` for the latest one.
    pub fn attempt_end(&self) -> Option<(Option<u32>, AttemptEnd)> {
        match self {
            Self::AttemptEnded { attempt, end, .. } => Some((Some(attempt.number), end.clone())),
            Self::Requeued { loss, .. } => loss.as_ref().map(Loss::as_end),
            Self::Ended {
                outcome: Outcome::Done(verdict),
                ..
            } => Some((None, AttemptEnd::Done(verdict.clone()))),
            Self::Ended {
                outcome: Outcome::Lost(losses),
                ..
            } => losses.last().map(Loss::as_end),
            Self::Ended { .. }
            | Self::Submitted { .. }
            | Self::Placed { .. }
            | Self::Assigned { .. } => None,
        }
    }
}

/// A job that has not ended, as it was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What was submitted.
    pub new: NewJob,
    /// Its place in the queue, if it had one.
    pub fair_start: Option<Time>,
    /// Since when it waits, or its worker.
    pub stage: SavedStage,
    /// The number of its latest attempt; 0 before the first.
    pub attempts: u32,
    /// The attempts that were lost.
    pub losses: Vec<Loss>,
}

/// How far a job had come when it was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedStage {
    /// It waits.
    Queued {
        /// Since when.
        since: Time,
    },
    /// A worker was chosen, and may have received it.
    Assigned(Attempt),
}

impl Saved {
    /// Returns a job that was submitted at this time.
    pub fn new(new: NewJob, at: Time) -> Self {
        Self {
            new,
            fair_start: None,
            stage: SavedStage::Queued { since: at },
            attempts: 0,
            losses: Vec::new(),
        }
    }

    /// Brings it up to date with a change of this job, but for its end: a job that has ended is not restored.
    ///
    /// This is what a change means; a store does the same to its rows.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Placed { fair_start, .. } => self.fair_start = Some(*fair_start),
            Change::Assigned { attempt, .. } => {
                self.attempts = attempt.number;
                self.stage = SavedStage::Assigned(attempt.clone());
            }
            Change::Requeued { since, loss, .. } => {
                self.stage = SavedStage::Queued { since: *since };
                self.losses.extend(loss.clone());
            }
            Change::Submitted { .. } | Change::AttemptEnded { .. } | Change::Ended { .. } => {}
        }
    }
}
