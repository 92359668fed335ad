//! How a command that failed says so to programs.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{CommandError, Kind};

/// The last line of a command that failed: alone, or with the event that says how a job ended. The exit code is the same as without
/// JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// What went wrong.
    pub error: Reason,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// What sort of thing it was.
    pub kind: Sort,
    /// What failed, on what, and why: what people read on standard error.
    pub message: String,
    /// What to try, a sentence each.
    pub hints: Vec<String>,
    /// The exit code.
    pub exit_code: u8,
    /// How the command that failed the build ended: its own exit code, as the log's last line has it. Left out where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_exit_code: Option<u8>,
}

/// What sort of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// The command was understood and tried, and did not work.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// A defect of the program.
    Internal,
    /// A signal ended it, such as Ctrl-C. If there was a job, it is cancelled.
    Interrupted,
    /// The job ran, and its build did not succeed.
    BuildFailed,
    /// The worker stopped the job, as it took longer than it may.
    TimedOut,
    /// Somebody else cancelled the job, an operator for example.
    Cancelled,
    /// The worker or the scheduler was lost, and the job with it, by no fault of its own: it may be submitted again.
    JobLost,
    /// The worker that took the job could not do it, by no fault of the job: it may be submitted again.
    WorkerUnfit,
    /// The scheduler has too much to do, or is shutting down: the job may be submitted later.
    Overloaded,
    /// The scheduler has no pool of this name.
    NoSuchPool,
    /// The cap file is not one for this, or not any more.
    WrongCap,
    /// There is no connection to the scheduler.
    SchedulerUnreachable,
}

impl Sort {
    /// Returns the sort for a kind, unless nothing is said of that.
    fn of(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Failed => Self::Failed,
            Kind::Usage => Self::Usage,
            Kind::Internal => Self::Internal,
            Kind::Interrupted(_) => Self::Interrupted,
            Kind::BuildFailed { .. } => Self::BuildFailed,
            Kind::TimedOut => Self::TimedOut,
            Kind::Cancelled => Self::Cancelled,
            Kind::JobLost => Self::JobLost,
            Kind::WorkerUnfit => Self::WorkerUnfit,
            Kind::Overloaded => Self::Overloaded,
            Kind::NoSuchPool => Self::NoSuchPool,
            Kind::WrongCap => Self::WrongCap,
            Kind::Unreachable => Self::SchedulerUnreachable,
            Kind::OutputClosed | Kind::Ended(_) => return None,
        })
    }
}

impl Reason {
    /// Returns what there is to say about `error`, which is nothing if everything was said already.
    pub fn of(error: &CommandError) -> Option<Self> {
        let CommandError {
            kind,
            message,
            hints,
        } = error;
        if message.is_empty() {
            return None;
        }
        Some(Self {
            kind: Sort::of(*kind)?,
            message: message.clone(),
            hints: hints.clone(),
            exit_code: kind.exit_code(),
            command_exit_code: match kind {
                Kind::BuildFailed { command } => *command,
                _ => None,
            },
        })
    }
}

impl Failure {
    /// Returns what there is to say about `error`, which is nothing if everything was said already.
    pub fn of(error: &CommandError) -> Option<Self> {
        let error = Reason::of(error)?;
        Some(Self { error })
    }
}
