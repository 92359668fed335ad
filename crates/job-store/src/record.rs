//! A job as the history knows it.

use jobs::{AttemptEnd, JobId, JobKey, NewJob, Outcome};
use pool::Time;

use crate::Sealed;

/// A name and a value that a client gives to a job, such as `branch` and `main`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// What it tells.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// How far a job has come, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It succeeded.
    Succeeded,
    /// It ran, and failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It reached a limit.
    TimedOut,
    /// Its workers were lost.
    Lost,
}

impl State {
    /// All states, in the order in which a job may pass through them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
        Self::Lost,
    ];
}

/// All that is kept of a job, but for its description and its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: JobId,
    /// Who submitted it.
    pub client: String,
    /// The name of its pool.
    pub pool: String,
    /// Its cache hint; empty for none.
    pub hint: String,
    /// Whether it is urgent.
    pub urgent: bool,
    /// What its client calls the submission.
    pub key: Option<JobKey>,
    /// Its kind, such as "docker".
    pub kind: String,
    /// Whether it is an attached job. Such a job is no durable one, and has no key, labels or description.
    pub attached: bool,
    /// Its labels, in the order of their names.
    pub labels: Vec<Label>,
    /// When it was submitted.
    pub submitted: Time,
    /// How far it has come.
    pub state: State,
    /// How it ended, and when; `None` while it has not.
    pub end: Option<(Outcome, Time)>,
    /// Its attempts, the first one first.
    pub attempts: Vec<AttemptRecord>,
}

/// A job as it was submitted, to submit it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// What was submitted.
    pub new: NewJob,
    /// Its kind, such as "docker".
    pub kind: String,
    /// Its labels, in the order of their names.
    pub labels: Vec<Label>,
    /// How far it has come.
    pub state: State,
    /// Its description; `None` once it is wiped.
    pub description: Option<Sealed>,
}

/// An attempt as the history knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Its number.
    pub number: u32,
    /// Who ran it.
    pub worker: String,
    /// When the worker was chosen.
    pub started: Time,
    /// How it ended, and when; `None` while it has not, or if that was never known.
    pub end: Option<(AttemptEnd, Time)>,
}

/// An attempt that ran to its end, well or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedAttempt {
    /// The name of its pool.
    pub pool: String,
    /// Who submitted it.
    pub client: String,
    /// Its cache hint.
    pub hint: String,
    /// The worker that ran it.
    pub worker: String,
    /// When it started.
    pub started: Time,
    /// When it ended.
    pub ended: Time,
}
