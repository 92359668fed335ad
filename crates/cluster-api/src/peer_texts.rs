//! The texts by which peers distinguish what they have no types for: upstream's programs, and older ones of ours.
//!
//! They are part of the protocol, so they never change. They are read only here. They are written only here, except
//! those for unknown names, which the scheduler writes.

use std::fmt;

use crate::{
    CancelledBy, Outcome, ProgressStatus, Refusal, RpcError, RpcErrorKind, TicketEnd, UnknownName,
};

/// The result of a job that ran and failed. Our workers add, after a colon, the limit that it reached.
const FAILED: &str = "Build failed";

/// The result of a job that was cancelled. Upstream's workers also give it to the jobs that they stop because they
/// are shutting down.
const CANCELLED: &str = "Build cancelled";

/// The disconnection that is the result of a job whose worker is shutting down.
const SHUTTING_DOWN: &str = "the worker is shutting down";

/// The prefix of the disconnection that is the result of a job whose worker is unfit. To other peers the job is lost,
/// so that they submit it again.
const UNFIT: &str = "worker unfit: ";

/// The same, of a job that had begun.
const BECAME_UNFIT: &str = "worker became unfit during the job: ";

/// The result of a job whose worker has a bug.
const CRASHED: &str = "Internal error";

/// The prefix of the error of a queued job that was cancelled.
const TICKET_CANCELLED: &str = "Ticket cancelled";

/// The suffix of the error of a queued job that was released with its ticket or its client.
const RELEASED: &str = "(cancelled)";

/// The error for a pool that does not exist: the texts before and after its name.
const NO_SUCH_POOL: (&str, &str) = ("Pool ID \"", "\" not one of ");

/// The error for a client that was removed.
const REVOKED: &str = "Access has been revoked";

/// The prefix of the progress of a worker that runs jobs, before their number.
const RUNNING_JOBS: &str = "Running jobs: ";

/// The progress of a worker that was asked to restart.
const RESTARTING: &str = "Restarting";

/// The progress of a worker that is not connected.
const NOT_CONNECTED: &str = "Disconnected (nothing to drain)";

impl Outcome {
    /// The prefix of the detail of [`Outcome::TimedOut`], before the limit. Without it, older peers take the job for
    /// failed.
    pub const TIMED_OUT: &str = "the job was stopped: it took longer than ";

    /// Reads the outcome of a job from the error that its [`result`](crate::Job::result) is.
    pub fn of_error(error: &RpcError) -> Self {
        let reason = error.reason.as_str();
        match error.kind {
            RpcErrorKind::Disconnected => Self::of_disconnection(reason),
            RpcErrorKind::Failed => {
                Self::of_failure(reason).unwrap_or_else(|| Self::Other(error.clone()))
            }
            RpcErrorKind::Overloaded | RpcErrorKind::Unimplemented => Self::Other(error.clone()),
        }
    }

    fn of_disconnection(reason: &str) -> Self {
        let unfit = |prefix, had_begun| {
            let problem = reason.strip_prefix(prefix)?.to_owned();
            Some(Self::WorkerUnfit { problem, had_begun })
        };
        if reason == SHUTTING_DOWN {
            return Self::Abandoned;
        }
        let reported = unfit(UNFIT, false).or_else(|| unfit(BECAME_UNFIT, true));
        reported.unwrap_or_else(|| Self::Lost {
            reason: reason.to_owned(),
        })
    }

    fn of_failure(reason: &str) -> Option<Self> {
        if let Some(more) = reason.strip_prefix(FAILED) {
            let detail = more.strip_prefix(": ").unwrap_or(more).to_owned();
            return Some(match detail.starts_with(Self::TIMED_OUT) {
                true => Self::TimedOut { detail },
                false => Self::Failed {
                    detail,
                    exit_code: None,
                },
            });
        }
        match reason {
            CRASHED => Some(Self::Crashed),
            CANCELLED => Some(Self::Cancelled(CancelledBy::Unknown)),
            _ if reason == TicketEnd::CancelledByOperator.reason()
                || reason == TicketEnd::ClientRemoved.reason() =>
            {
                Some(Self::Cancelled(CancelledBy::Operator))
            }
            _ if reason.starts_with(TICKET_CANCELLED) || reason.ends_with(RELEASED) => {
                Some(Self::Cancelled(CancelledBy::Client))
            }
            _ => None,
        }
    }

    /// Returns the outcome as the result of a call of [`Job::result`](crate::Job::result).
    ///
    /// # Errors
    /// For every outcome but success.
    pub fn into_result(self) -> Result<String, RpcError> {
        let failed = |detail: String| match detail.as_str() {
            "" => RpcError::failed(FAILED),
            detail => RpcError::failed(format!("{FAILED}: {detail}")),
        };
        Err(match self {
            Self::Succeeded(output) => return Ok(output),
            Self::Failed { detail, .. } | Self::TimedOut { detail } => failed(detail),
            Self::Cancelled(_) => RpcError::failed(CANCELLED),
            Self::WorkerUnfit { problem, had_begun } => {
                let prefix = if had_begun { BECAME_UNFIT } else { UNFIT };
                RpcError::disconnected(format!("{prefix}{problem}"))
            }
            Self::Abandoned => RpcError::disconnected(SHUTTING_DOWN),
            Self::Lost { reason } => RpcError::disconnected(reason),
            Self::Crashed => RpcError::failed(CRASHED),
            Self::Other(error) => error,
        })
    }
}

impl TicketEnd {
    fn reason(self) -> &'static str {
        match self {
            Self::Cancelled => TICKET_CANCELLED,
            Self::CancelledByOperator => "Ticket cancelled by an operator",
            Self::Released => "Ticket released (cancelled)",
            Self::ClientRemoved => "Client removed (cancelled)",
        }
    }

    const ALL: [Self; 4] = [
        Self::Cancelled,
        Self::CancelledByOperator,
        Self::Released,
        Self::ClientRemoved,
    ];

    /// Returns the error with which the promise of the job breaks.
    pub fn into_error(self) -> RpcError {
        RpcError::failed(self.reason())
    }

    /// Reads from the error of a job how its ticket ended. `None` for any other error.
    pub fn of(error: &RpcError) -> Option<Self> {
        let is_this =
            |end: &Self| error.kind == RpcErrorKind::Failed && error.reason == end.reason();
        Self::ALL.into_iter().find(is_this)
    }
}

impl Refusal {
    /// Returns the error of a scheduler that has these pools, but not `pool`.
    pub fn no_such_pool(pool: impl fmt::Display, pools: &[&str]) -> RpcError {
        let (begin, middle) = NO_SUCH_POOL;
        RpcError::failed(format!("{begin}{pool}{middle}{{{}}}", pools.join(", ")))
    }

    /// Returns the error for a client that was removed.
    pub fn revoked() -> RpcError {
        RpcError::failed(REVOKED)
    }

    /// Reads from the error of a job why the scheduler did not accept it. `None` for any other error.
    pub fn of(error: &RpcError) -> Option<Self> {
        let (begin, middle) = NO_SUCH_POOL;
        let reason = error.reason.as_str();
        match error.kind {
            RpcErrorKind::Overloaded => Some(Self::Overloaded),
            RpcErrorKind::Unimplemented => Some(Self::NotASubmission),
            RpcErrorKind::Failed if reason == REVOKED => Some(Self::Revoked),
            RpcErrorKind::Failed if reason.starts_with(begin) && reason.contains(middle) => {
                Some(Self::NoSuchPool)
            }
            RpcErrorKind::Failed | RpcErrorKind::Disconnected => None,
        }
    }
}

impl UnknownName {
    /// Reads from the reason of an operator's failed request what the scheduler does not know. `None` for any other
    /// reason.
    pub fn of_reason(reason: &str) -> Option<Self> {
        match reason {
            "No such pool" => Some(Self::Pool),
            "Unknown worker" => Some(Self::Worker),
            "No such user" => Some(Self::Client),
            reason if reason.starts_with("Unknown client") => Some(Self::Client),
            reason if reason.ends_with("not known in this pool") => Some(Self::Worker),
            _ => None,
        }
    }
}

impl fmt::Display for ProgressStatus {
    /// Writes it as upstream's scheduler reports it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunningJobs(jobs) => write!(f, "{RUNNING_JOBS}{jobs}"),
            Self::Restarting => f.write_str(RESTARTING),
            Self::NotConnected => f.write_str(NOT_CONNECTED),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl From<String> for ProgressStatus {
    fn from(text: String) -> Self {
        let jobs = text.strip_prefix(RUNNING_JOBS);
        match (text.as_str(), jobs.and_then(|jobs| jobs.parse().ok())) {
            (_, Some(jobs)) => Self::RunningJobs(jobs),
            (RESTARTING, None) => Self::Restarting,
            (NOT_CONNECTED, None) => Self::NotConnected,
            (_, None) => Self::Other(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(detail: &str) -> Outcome {
        Outcome::Failed {
            detail: detail.to_owned(),
            exit_code: None,
        }
    }

    fn unfit(had_begun: bool) -> Outcome {
        Outcome::WorkerUnfit {
            problem: "Docker does not answer".to_owned(),
            had_begun,
        }
    }

    #[test]
    fn an_outcome_is_read_from_the_text_that_it_is_written_as() {
        let timed_out = "the job was stopped: it took longer than --job-timeout=5";
        let timed_out = Outcome::TimedOut {
            detail: timed_out.to_owned(),
        };
        let lost = Outcome::Lost {
            reason: "worker \"w1\" disconnected".to_owned(),
        };
        for (outcome, text) in [
            (failed(""), "Failed: Build failed"),
            (
                failed("the job was killed"),
                "Failed: Build failed: the job was killed",
            ),
            (
                timed_out,
                "Failed: Build failed: the job was stopped: it took longer than --job-timeout=5",
            ),
            (
                Outcome::Cancelled(CancelledBy::Unknown),
                "Failed: Build cancelled",
            ),
            (
                unfit(false),
                "Disconnected: worker unfit: Docker does not answer",
            ),
            (
                unfit(true),
                "Disconnected: worker became unfit during the job: Docker does not answer",
            ),
            (
                Outcome::Abandoned,
                "Disconnected: the worker is shutting down",
            ),
            (lost, "Disconnected: worker \"w1\" disconnected"),
            (Outcome::Crashed, "Failed: Internal error"),
            (
                Outcome::Other(RpcError::failed("worker unfit: x")),
                "Failed: worker unfit: x",
            ),
        ] {
            let error = outcome.clone().into_result().unwrap_err();
            assert_eq!(error.to_string(), text);
            assert_eq!(Outcome::of_error(&error), outcome, "{error}");
        }
    }

    #[test]
    fn a_queued_job_is_cancelled_by_a_client_or_an_operator() {
        use CancelledBy::{Client, Operator};
        for (end, reason, by) in [
            (TicketEnd::Cancelled, "Ticket cancelled", Client),
            (TicketEnd::Released, "Ticket released (cancelled)", Client),
            (
                TicketEnd::CancelledByOperator,
                "Ticket cancelled by an operator",
                Operator,
            ),
            (
                TicketEnd::ClientRemoved,
                "Client removed (cancelled)",
                Operator,
            ),
        ] {
            let error = end.into_error();
            assert_eq!(error, RpcError::failed(reason));
            assert_eq!(TicketEnd::of(&error), Some(end));
            assert_eq!(
                Outcome::of_error(&error),
                Outcome::Cancelled(by),
                "{reason}"
            );
        }
    }

    #[test]
    fn a_refusal_is_no_outcome_of_a_worker() {
        for (error, refusal) in [
            (
                Refusal::no_such_pool("p", &["a", "b"]),
                Some(Refusal::NoSuchPool),
            ),
            (
                RpcError::failed("Pool ID \"p\" not one of {a, b}"),
                Some(Refusal::NoSuchPool),
            ),
            (Refusal::revoked(), Some(Refusal::Revoked)),
            (
                RpcError::failed("Access has been revoked"),
                Some(Refusal::Revoked),
            ),
            (
                RpcError::unimplemented("Unknown interface 16183862469459138368UL"),
                Some(Refusal::NotASubmission),
            ),
            (
                RpcError::overloaded("the scheduler is shutting down"),
                Some(Refusal::Overloaded),
            ),
            (RpcError::failed("something new"), None),
        ] {
            assert_eq!(Refusal::of(&error), refusal, "{error}");
            assert_eq!(Outcome::of_error(&error), Outcome::Other(error));
        }
        assert_eq!(Refusal::of(&RpcError::failed("Build failed")), None);
    }

    #[test]
    fn a_progress_status_is_read_from_the_text_that_it_is_written_as() {
        for (status, text) in [
            (ProgressStatus::RunningJobs(3), "Running jobs: 3"),
            (ProgressStatus::Restarting, "Restarting"),
            (
                ProgressStatus::NotConnected,
                "Disconnected (nothing to drain)",
            ),
            (
                ProgressStatus::Other("Running jobs: many".to_owned()),
                "Running jobs: many",
            ),
        ] {
            assert_eq!(status.to_string(), text);
            assert_eq!(ProgressStatus::from(text.to_owned()), status);
        }
    }

    #[test]
    fn an_unknown_name_is_of_a_pool_a_worker_or_a_client() {
        for (reason, name) in [
            ("No such pool", Some(UnknownName::Pool)),
            ("Unknown worker", Some(UnknownName::Worker)),
            (
                "Worker \"w\" not known in this pool",
                Some(UnknownName::Worker),
            ),
            ("No such user", Some(UnknownName::Client)),
            ("Unknown client \"c\"", Some(UnknownName::Client)),
            ("Build failed", None),
        ] {
            assert_eq!(UnknownName::of_reason(reason), name, "{reason}");
        }
    }
}
