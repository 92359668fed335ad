//! How a build ends without a result, and why there is no builder.

use std::io;

use super::claims::StepFailure;
use super::database::DatabaseError;
use crate::sandbox::{Exit, LimitReached};
use crate::store::StoreError;

/// How a build ends that has no result.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// For this reason.
    #[error("{0}")]
    Failed(String),
    /// The command of a step failed.
    #[error("{reason}")]
    CommandFailed {
        /// The command, and how it ended.
        reason: String,
        /// How it ended.
        exit: Exit,
    },
    /// A step failed that had reached a limit.
    #[error(transparent)]
    LimitReached(LimitReached),
    /// It was no longer wanted.
    #[error("cancelled")]
    Cancelled,
    /// Its log did not take what there was to say.
    #[error("cannot write the log of the build: {0}")]
    Log(#[source] io::Error),
}

impl BuildError {
    /// Returns the failure of a build for the reason `error`.
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<StepFailure> for BuildError {
    fn from(failure: StepFailure) -> Self {
        match failure {
            StepFailure::Failed(reason) => Self::Failed(reason),
            StepFailure::CommandFailed { reason, exit } => Self::CommandFailed { reason, exit },
            StepFailure::LimitReached(limit) => Self::LimitReached(limit),
            StepFailure::Cancelled => Self::Cancelled,
        }
    }
}

/// Why there is no builder.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store does not say what it has.
    #[error(transparent)]
    Store(#[from] StoreError),
}
