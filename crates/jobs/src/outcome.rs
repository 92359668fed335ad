//! How jobs and their attempts end.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pool::{Time, WorkerName};

/// How a job ended. A job has one outcome, and keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An attempt ended on its worker.
    Done(Verdict),
    /// It was cancelled.
    Cancelled(CancelledBy),
    /// It reached a limit of its terms.
    TimedOut(Limit),
    /// Its workers were lost again and again.
    Lost(Vec<Loss>),
}

/// What a worker made of a job that it ran to its end. Nobody tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The job succeeded, with this output.
    Succeeded(Box<str>),
    /// The job failed.
    Failed {
        /// The limit of the worker's that it reached; empty for any other failure, which its log explains.
        detail: Box<str>,
        /// The exit code of the command that failed, if it is known.
        exit_code: Option<u8>,
    },
    /// The worker's own time limit stopped it.
    TimedOut {
        /// The limit, in words.
        detail: Box<str>,
    },
    /// The job can be run by no worker.
    Refused {
        /// Why.
        reason: Box<str>,
    },
}

impl Verdict {
    /// Tells whether the job did anything but succeed.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Succeeded(_))
    }
}

/// Who cancelled a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelledBy {
    /// Its client asked for it.
    Client,
    /// An operator did.
    Operator,
    /// No client watched it any more.
    Departure,
}

/// A limit of a job's [`Terms`](crate::Terms).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// How long it may wait for a worker.
    Queue,
    /// How long an attempt may run.
    Run,
    /// How long an attempt may write nothing.
    Silence,
}

/// How an attempt ended, as its worker reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It ran to its end.
    Done(Verdict),
    /// It was stopped, because the scheduler asked for it.
    Stopped,
    /// It was lost, and another worker may do better.
    Lost(LossReason),
}

/// An attempt that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Its number.
    pub attempt: u32,
    /// Where it ran.
    pub worker: WorkerName,
    /// Why it was lost.
    pub reason: LossReason,
    /// When that was known.
    pub at: Time,
}

impl Loss {
    /// Returns the number of the attempt, and its end.
    pub(crate) fn as_end(&self) -> (Option<u32>, AttemptEnd) {
        (Some(self.attempt), AttemptEnd::Lost(self.reason.clone()))
    }
}

/// Why an attempt was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// The worker left, and did not return in time.
    WorkerGone,
    /// The worker came back, and does not have it.
    NotHeld,
    /// The process of the worker ended while the attempt ran.
    Interrupted,
    /// The worker is shutting down.
    Abandoned,
    /// The worker cannot run such jobs at present.
    WorkerUnfit {
        /// The problem of the worker.
        problem: Box<str>,
    },
    /// The worker has a bug, which its own log describes.
    Crashed,
    /// The scheduler was restarted. Only attached jobs end like this, which are in the history but not in
    /// [`Jobs`](crate::Jobs).
    SchedulerRestarted,
}
