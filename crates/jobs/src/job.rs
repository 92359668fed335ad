//! A job: what was asked for, and how far it has come.

use alloc::sync::Arc;
use alloc::vec::Vec;

use pool::{CacheHint, ClientId, Time, WorkerName};

use crate::{AttemptId, ChangeId, JobId, JobKey, Loss, Outcome, Terms, Unwatched};

/// A job as it is submitted, without its description, which the caller keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its id: random, and not yet in use.
    pub id: JobId,
    /// Who submits it.
    pub client: ClientId,
    /// The name of the pool that is to run it.
    pub pool: Arc<str>,
    /// Jobs with the same hint like the same worker.
    pub hint: CacheHint,
    /// Whether it goes before all jobs that are not urgent.
    pub urgent: bool,
    /// What the client calls this submission, if anything.
    pub key: Option<JobKey>,
    /// How it is to be run.
    pub terms: Terms,
}

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a worker.
    Queued {
        /// Since when: its submission, or the loss of its latest attempt.
        since: Time,
    },
    /// A worker was chosen, and receives it as soon as that is saved.
    Assigned(Attempt),
    /// A worker runs it.
    Running(Attempt),
    /// Its worker has left, and may return.
    Away {
        /// What the worker ran.
        attempt: Attempt,
        /// When it is given up.
        until: Time,
    },
    /// It has ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// When.
        at: Time,
    },
}

/// An attempt that a worker has, or is about to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number.
    pub number: u32,
    /// Who runs it.
    pub worker: WorkerName,
    /// Whether that worker keeps it while the connection is broken. Upstream's workers do not.
    pub survives: bool,
    /// When the worker was chosen.
    pub started: Time,
}

impl Stage {
    /// Returns the attempt that a worker has, if one has.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Assigned(attempt) | Self::Running(attempt) | Self::Away { attempt, .. } => {
                Some(attempt)
            }
            Self::Queued { .. } | Self::Ended { .. } => None,
        }
    }
}

/// Whether clients watch a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// So many clients do.
    By(u32),
    /// The last one has left; at this time it has been gone for too long.
    Left { until: Time },
}

/// A job that has not ended, or whose end is not saved yet.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) new: NewJob,
    /// Its place in the queue, once the pool has given it one.
    pub(crate) fair_start: Option<Time>,
    pub(crate) stage: Stage,
    /// The number of its latest attempt; 0 before the first.
    pub(crate) attempts: u32,
    pub(crate) losses: Vec<Loss>,
    pub(crate) watched: Watched,
    /// When its running attempt last wrote to its log, as far as that was seen.
    pub(crate) last_log: Time,
    /// Counts the stages that its watchers were shown.
    pub(crate) version: u64,
    /// Its entry among the alarms.
    pub(crate) alarm: Option<Time>,
    /// The change that saves it first.
    pub(crate) submission: ChangeId,
}

impl Job {
    /// Returns the attempt that a worker has, if its number is this one.
    pub(crate) fn has(&self, id: AttemptId) -> Option<&Attempt> {
        self.stage
            .attempt()
            .filter(|attempt| attempt.number == id.number)
    }

    /// Returns when the first of its limits is reached, given what is known now.
    pub(crate) fn next_limit(&self) -> Option<Time> {
        let Terms {
            queue_limit,
            run_limit,
            silence_limit,
            ..
        } = self.new.terms;
        let of_stage = match &self.stage {
            Stage::Queued { since } => [queue_limit.map(|limit| *since + limit), None],
            Stage::Assigned(attempt) => [run_limit.map(|limit| attempt.started + limit), None],
            Stage::Running(attempt) => [
                run_limit.map(|limit| attempt.started + limit),
                silence_limit.map(|limit| self.last_log + limit),
            ],
            Stage::Away { attempt, until } => {
                [run_limit.map(|limit| attempt.started + limit), Some(*until)]
            }
            Stage::Ended { .. } => return None,
        };
        of_stage
            .into_iter()
            .flatten()
            .chain(self.departure_limit())
            .min()
    }

    /// Returns when its client has been gone for too long.
    pub(crate) fn departure_limit(&self) -> Option<Time> {
        match (self.new.terms.unwatched, self.watched) {
            (Unwatched::Cancelled(_), Watched::Left { until }) => Some(until),
            _ => None,
        }
    }
}
