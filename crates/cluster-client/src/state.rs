//! The state of a job, for its program and for the readers of its log.

use std::rc::Weak;

use cluster_api::Job;

use crate::Attempt;

/// The state of a job.
pub(crate) struct JobState {
    /// The number of the present attempt. The first is 1.
    pub(crate) number: u32,
    /// How the attempt before this one was lost. Empty in the first.
    pub(crate) lost: String,
    /// The job of this attempt, so that its log can be read after the end. `None` until it is submitted.
    pub(crate) job: Option<Job>,
    /// The attempt itself, which lasts until it has ended.
    pub(crate) attempt: Weak<Attempt>,
    pub(crate) stage: Stage,
}

/// Whether a job has ended, and whether its log has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Active,
    /// A worker ran the job until it ended, successfully or not, so the log has an end.
    RanToEnd,
    /// The job ended in another way. The job's error reports how; the log does not.
    GaveUp,
}

impl JobState {
    pub(crate) fn new() -> Self {
        Self {
            number: 1,
            lost: String::new(),
            job: None,
            attempt: Weak::new(),
            stage: Stage::Active,
        }
    }
}
