//! The failure of a command, for programs.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{CommandError, Kind};

/// The last line of a command that failed: alone, or with the event of the end of a job. The exit code is the same as
/// without JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// What went wrong.
    pub error: Reason,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// The kind of failure.
    pub kind: FailureKind,
    /// What failed, on what, and why, as on standard error.
    pub message: String,
    /// What to try, one sentence each.
    pub hints: Vec<String>,
    /// The exit code.
    pub exit_code: u8,
    /// The exit code of the command that failed the build, as in the log's last line. Omitted if it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_exit_code: Option<u8>,
}

// A type apart from `Kind`, although they are alike: these names and comments are the JSON schema, on which scripts
// rely and from which the reference is generated. `Kind` is internal: it decides the exit code, carries data, and has
// kinds that are not reported.
/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The command was understood and tried, and did not work.
    Failed,
    /// The command line is invalid.
    Usage,
    /// An internal error: a bug in the program.
    Internal,
    /// A signal such as Ctrl-C ended it. If there was a job, it is cancelled.
    Interrupted,
    /// The job ran, and its build did not succeed.
    BuildFailed,
    /// The worker stopped the job, as it exceeded its time limit.
    TimedOut,
    /// Another user, such as an operator, cancelled the job.
    Cancelled,
    /// The worker or the scheduler was lost, and the job with it: submit it again.
    JobLost,
    /// The worker that took the job was unfit: submit it again.
    WorkerUnfit,
    /// The scheduler is overloaded or shutting down: submit the job later.
    Overloaded,
    /// The scheduler has no pool of this name.
    NoSuchPool,
    /// The cap file is for another service, or its access was revoked.
    WrongCap,
    /// The scheduler is unreachable.
    SchedulerUnreachable,
}

impl FailureKind {
    /// Returns the JSON kind; `None` for kinds that are not reported.
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
    /// Returns the report of `error`; `None` if it was already reported.
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
            kind: FailureKind::of(*kind)?,
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
    /// Returns the report of `error`; `None` if it was already reported.
    pub fn of(error: &CommandError) -> Option<Self> {
        let error = Reason::of(error)?;
        Some(Self { error })
    }
}
