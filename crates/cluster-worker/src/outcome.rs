//! The ways a job can end.

use crate::log::LogError;
use crate::process::ProcessError;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    /// It was done. This is its output: a pushed image's RepoId, or nothing.
    Succeeded(String),
    /// It could not be done, for this reason: the last line of its log.
    Failed(String),
    /// Nobody wanted it any more.
    Cancelled,
    /// The worker has ended before it could be done. Another may do it.
    Abandoned,
    /// The worker has a defect. Its own log says which.
    Crashed,
}

/// Why a step of a job did not succeed, and so neither does the job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// With the reason, for the one who submitted it.
    #[error("{0}")]
    Failed(String),
    /// It was stopped, because nobody wants it any more.
    #[error("cancelled")]
    Cancelled,
}

impl JobError {
    /// Returns a failure with this reason.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(reason.into())
    }
}

impl From<ProcessError> for JobError {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Cancelled => Self::Cancelled,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<LogError> for JobError {
    fn from(error: LogError) -> Self {
        Self::Failed(error.to_string())
    }
}
