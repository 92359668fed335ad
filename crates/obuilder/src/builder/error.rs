//! Why a build has no result, and why a builder cannot be opened.

use std::io;

use super::claims::StepFailure;
use super::database::DatabaseError;
use crate::sandbox::{Exit, LimitReached};
use crate::store::StoreError;

/// Why a build has no result.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It failed for this reason.
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
    /// A step reached a limit.
    #[error(transparent)]
    LimitReached(LimitReached),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Its log could not be written.
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

/// Why a builder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
