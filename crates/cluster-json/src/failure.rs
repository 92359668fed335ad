//! How a command failed, for programs: the kind, the reason, and the exit code.

use schemars::JsonSchema;
use serde::Serialize;

/// The kind of failure, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command was understood and tried, and did not work: exit code 1.
    Failed,
    /// Standard output was closed by its reader: exit code 1, without a message.
    OutputClosed,
    /// The command line is invalid: exit code 124.
    Usage,
    /// Internal error, a bug: exit code 125.
    Internal,
    /// A signal ended it: exit code 128 + the signal's number (130 for Ctrl-C, 143 for SIGTERM).
    Interrupted(u8),
    /// A command that was run for the user ended with this exit code, which is ours too.
    Ended(u8),
    /// The job ran, and its build did not succeed: exit code 1.
    BuildFailed {
        /// The exit code of the build's own command, if it is known.
        command: Option<u8>,
    },
    /// The worker stopped the job, as it exceeded its time limit: exit code 1.
    TimedOut,
    /// Another user, such as an operator, cancelled the job: exit code 130, as after Ctrl-C.
    Cancelled,
    /// The worker or the scheduler was lost, and the job with it: exit code 75.
    JobLost,
    /// The worker that took the job was unfit: exit code 75.
    WorkerUnfit,
    /// The scheduler is overloaded or shutting down: exit code 75.
    Overloaded,
    /// The scheduler has no pool of this name: exit code 124.
    NoSuchPool,
    /// The cap file is for another service, or its access was revoked: exit code 124.
    WrongCap,
    /// The scheduler is unreachable: exit code 69.
    Unreachable,
}

/// The job may be submitted again: `EX_TEMPFAIL` of sysexits.h.
const TRY_AGAIN: u8 = 75;

/// A service is unavailable: `EX_UNAVAILABLE` of sysexits.h.
const UNAVAILABLE: u8 = 69;

/// The command line is invalid: the code of upstream's programs.
const INVALID: u8 = 124;

/// The number of the signal of Ctrl-C.
const SIGINT: u8 = 2;

impl Kind {
    /// Returns the process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::OutputClosed | Self::BuildFailed { .. } | Self::TimedOut => 1,
            Self::Unreachable => UNAVAILABLE,
            Self::JobLost | Self::WorkerUnfit | Self::Overloaded => TRY_AGAIN,
            Self::Usage | Self::NoSuchPool | Self::WrongCap => INVALID,
            Self::Internal => 125,
            Self::Cancelled => Self::Interrupted(SIGINT).exit_code(),
            Self::Interrupted(signal) => 128u8.saturating_add(signal),
            Self::Ended(code) => code,
        }
    }
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
    /// Returns the report of a failure of this kind; `None` if it was already reported.
    pub fn new(kind: Kind, message: &str, hints: &[String]) -> Option<Self> {
        if message.is_empty() {
            return None;
        }
        Some(Self {
            kind: FailureKind::of(kind)?,
            message: message.to_owned(),
            hints: hints.to_vec(),
            exit_code: kind.exit_code(),
            command_exit_code: match kind {
                Kind::BuildFailed { command } => command,
                _ => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_that_scripts_rely_on() {
        for (kind, code) in [
            (Kind::BuildFailed { command: Some(3) }, 1),
            (Kind::TimedOut, 1),
            (Kind::Unreachable, 69),
            (Kind::JobLost, 75),
            (Kind::WorkerUnfit, 75),
            (Kind::Overloaded, 75),
            (Kind::Usage, 124),
            (Kind::NoSuchPool, 124),
            (Kind::WrongCap, 124),
            (Kind::Cancelled, 130),
            (Kind::Interrupted(15), 143),
        ] {
            assert_eq!(kind.exit_code(), code, "{kind:?}");
        }
    }
}
