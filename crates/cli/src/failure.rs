//! The failure of a command, for programs.

pub use cluster_json::failure::{FailureKind, Reason};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::CommandError;

/// The last line of a command that failed: alone, or with the event of the end of a job. The exit code is the same as
/// without JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// What went wrong.
    pub error: Reason,
}

impl Failure {
    /// Returns the report of `error`; `None` if it was already reported.
    pub fn of(error: &CommandError) -> Option<Self> {
        let error = error.reason()?;
        Some(Self { error })
    }
}
