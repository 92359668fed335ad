//! The outcome of a job for scripts: the exit code, and the `kind` of the error in JSON.

use cluster_api::{Outcome, Refusal};

use crate::failure::Kind;

/// Returns the kind of `outcome`. `command` is the exit code of the build's own command, if its log has one.
pub fn kind_of(outcome: &Outcome, command: Option<u8>) -> Kind {
    match outcome {
        Outcome::Failed { exit_code, .. } => Kind::BuildFailed {
            command: exit_code.or(command),
        },
        Outcome::TimedOut { .. } => Kind::TimedOut,
        Outcome::Cancelled(_) => Kind::Cancelled,
        Outcome::WorkerUnfit { .. } => Kind::WorkerUnfit,
        Outcome::Abandoned | Outcome::Lost { .. } => Kind::JobLost,
        Outcome::Other(error) => match Refusal::of(error) {
            Some(Refusal::NoSuchPool) => Kind::NoSuchPool,
            Some(Refusal::Revoked | Refusal::NotASubmission) => Kind::WrongCap,
            Some(Refusal::Overloaded) => Kind::Overloaded,
            None => Kind::Failed,
        },
        Outcome::Succeeded(_) | Outcome::Crashed => Kind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use cluster_api::RpcError;

    use super::*;

    #[test]
    fn a_reported_exit_code_goes_before_the_one_in_the_log() {
        let outcome = Outcome::Failed {
            detail: String::new(),
            exit_code: Some(4),
        };
        let kind = Kind::BuildFailed { command: Some(4) };
        assert_eq!(kind_of(&outcome, Some(3)), kind);
    }

    #[test]
    fn each_outcome_has_its_kind() {
        for (error, kind) in [
            (
                RpcError::failed("Build failed"),
                Kind::BuildFailed { command: Some(3) },
            ),
            (
                RpcError::failed(
                    "Build failed: the job was killed: it used more than --job-memory=1GiB",
                ),
                Kind::BuildFailed { command: Some(3) },
            ),
            (
                RpcError::failed(
                    "Build failed: the job was stopped: it took longer than --job-timeout=5",
                ),
                Kind::TimedOut,
            ),
            (RpcError::failed("Build cancelled"), Kind::Cancelled),
            (RpcError::failed("Ticket cancelled"), Kind::Cancelled),
            (
                RpcError::failed("Client removed (cancelled)"),
                Kind::Cancelled,
            ),
            (RpcError::failed("Internal error"), Kind::Failed),
            (
                RpcError::failed("Pool ID \"p\" not one of {a, b}"),
                Kind::NoSuchPool,
            ),
            (RpcError::failed("Access has been revoked"), Kind::WrongCap),
            (
                RpcError::unimplemented("Unknown interface 16183862469459138368UL"),
                Kind::WrongCap,
            ),
            (
                RpcError::disconnected("worker \"w1\" disconnected"),
                Kind::JobLost,
            ),
            (
                RpcError::overloaded("the scheduler is shutting down"),
                Kind::Overloaded,
            ),
        ] {
            let outcome = Outcome::of_error(&error);
            assert_eq!(kind_of(&outcome, Some(3)), kind, "{error}");
        }
    }
}
