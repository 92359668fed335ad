//! The ways a job can end.

use std::time::Duration;

use cgroup::{MemoryLimit, PidLimit};
use cluster_api::CancelledBy;

use crate::log::LogError;
use crate::process::ProcessError;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    /// It was done. This is its output: a pushed image's RepoId, or nothing.
    Succeeded(String),
    /// It failed.
    Failed {
        /// Why: the last line of its log.
        reason: String,
        /// The exit code of the command that failed, if it is known.
        exit_code: Option<u8>,
    },
    /// It was stopped by a limit, or failed after it had reached one.
    LimitReached(LimitReached),
    /// It was cancelled.
    Cancelled(CancelledBy),
    /// The worker has ended before it could be done. Another may do it.
    Abandoned,
    /// The worker is not fit for it. Another may do it.
    Unfit {
        /// What is wrong with the worker.
        problem: String,
        /// Whether the job had begun.
        had_begun: bool,
    },
    /// A bug in the worker. The worker's log has the details.
    Crashed,
}

impl Outcome {
    /// Returns the outcome as clients get it. Why a job failed is in its log.
    pub(crate) fn reported(self) -> cluster_api::Outcome {
        let failed = |detail, exit_code| cluster_api::Outcome::Failed { detail, exit_code };
        match self {
            Self::Succeeded(output) => cluster_api::Outcome::Succeeded(output),
            Self::Failed { exit_code, .. } => failed(String::new(), exit_code),
            Self::LimitReached(limit @ LimitReached::Timeout(_)) => {
                cluster_api::Outcome::TimedOut {
                    detail: limit.to_string(),
                }
            }
            Self::LimitReached(limit) => failed(limit.to_string(), None),
            Self::Cancelled(by) => cluster_api::Outcome::Cancelled(by),
            Self::Abandoned => cluster_api::Outcome::Abandoned,
            Self::Unfit { problem, had_begun } => {
                cluster_api::Outcome::WorkerUnfit { problem, had_begun }
            }
            Self::Crashed => cluster_api::Outcome::Crashed,
        }
    }
}

/// Why a step of a job, and so the job, did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// It failed.
    #[error("{reason}")]
    Failed {
        /// The reason, for its client.
        reason: String,
        /// The exit code of the job's command, if that is what failed and it is known.
        exit_code: Option<u8>,
    },
    /// It had reached a limit.
    #[error(transparent)]
    LimitReached(#[from] LimitReached),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The worker cannot run it now, but another may.
    #[error("worker unfit: {0}")]
    WorkerUnfit(String),
}

/// A limit of the worker that a job has reached. The texts name its option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitReached {
    /// The kernel killed some of its processes.
    #[error("the job was killed: it used more than --job-memory={0}")]
    Memory(MemoryLimit),
    /// The kernel refused to start more processes or threads.
    #[error(
        "the job failed: it reached --job-pids={0}, the most processes and threads that a job may have"
    )]
    Pids(PidLimit),
    /// The worker stopped it.
    #[error("{}--job-timeout={}", cluster_api::Outcome::TIMED_OUT, .0.as_secs_f64())]
    Timeout(Duration),
}

impl From<obuilder::sandbox::LimitReached> for LimitReached {
    fn from(limit: obuilder::sandbox::LimitReached) -> Self {
        match limit {
            obuilder::sandbox::LimitReached::Memory(limit) => Self::Memory(limit),
            obuilder::sandbox::LimitReached::Pids(limit) => Self::Pids(limit),
        }
    }
}

impl JobError {
    /// Returns a failure with this reason.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed {
            reason: reason.into(),
            exit_code: None,
        }
    }

    /// Returns the failure of the job's command, with this reason.
    pub fn command_failed(reason: impl Into<String>, exit_code: Option<u8>) -> Self {
        Self::Failed {
            reason: reason.into(),
            exit_code,
        }
    }
}

impl From<ProcessError> for JobError {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Cancelled => Self::Cancelled,
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<LogError> for JobError {
    fn from(error: LogError) -> Self {
        Self::failed(error.to_string())
    }
}
