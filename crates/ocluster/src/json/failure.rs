//! How a command that failed says so to programs.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{CommandError, Kind};

/// The last line of a command that failed, unless an event before it said how; always, when a signal ended it. The exit code
/// is the same as without JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// What went wrong.
    pub error: Reason,
}

/// What went wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reason {
    /// What sort of thing it was.
    pub kind: Sort,
    /// What failed, on what, and why: what people read on standard error.
    pub message: String,
    /// What to try, a sentence each.
    pub hints: Vec<String>,
    /// The exit code.
    pub exit_code: u8,
}

/// What sort of thing went wrong.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// The command was understood and tried, and did not work.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// A defect of the program.
    Internal,
    /// A signal ended it, such as Ctrl-C.
    Interrupted,
}

impl Failure {
    /// Returns what there is to say about `error`, which is nothing if everything was said already.
    pub fn of(error: &CommandError) -> Option<Self> {
        let CommandError {
            kind,
            message,
            hints,
        } = error;
        let sort = match kind {
            Kind::Failed => Sort::Failed,
            Kind::Usage => Sort::Usage,
            Kind::Internal => Sort::Internal,
            Kind::Interrupted(_) => Sort::Interrupted,
            Kind::OutputClosed | Kind::Ended(_) => return None,
        };
        if message.is_empty() {
            return None;
        }
        Some(Self {
            error: Reason {
                kind: sort,
                message: message.clone(),
                hints: hints.clone(),
                exit_code: kind.exit_code(),
            },
        })
    }
}
