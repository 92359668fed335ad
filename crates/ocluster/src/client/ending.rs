//! The outcome of a job for scripts: the exit code, and the `kind` of the error in JSON.

use cluster_api::{Job, RpcError, RpcErrorKind, WorkerUnfit};

use cli::error::Kind;

/// The beginning and end of upstream's message for an unknown pool.
const NO_SUCH_POOL: (&str, &str) = ("Pool ID \"", "\" not one of {");

/// How the reason begins when a queued job was cancelled itself.
const TICKET_CANCELLED: &str = "Ticket cancelled";

/// How the reason ends when a job was cancelled along with its ticket or its client.
const GONE: &str = "(cancelled)";

/// The message of the scheduler for a client that was removed.
const REVOKED: &str = "Access has been revoked";

/// Returns the kind of failure that `error` is. `command` is the exit code of the build's own command, if the log has
/// it.
///
/// The kind of the exception decides where there is one for the case, otherwise its reason, which has upstream's words.
pub(super) fn kind_of(error: &RpcError, command: Option<u8>) -> Kind {
    let reason = error.reason.as_str();
    match error.kind {
        RpcErrorKind::Disconnected if WorkerUnfit::of(error).is_some() => Kind::WorkerUnfit,
        RpcErrorKind::Disconnected => Kind::JobLost,
        RpcErrorKind::Overloaded => Kind::Overloaded,
        RpcErrorKind::Unimplemented => Kind::WrongCap,
        RpcErrorKind::Failed if is_cancelled(reason) => Kind::Cancelled,
        RpcErrorKind::Failed if reason == REVOKED => Kind::WrongCap,
        RpcErrorKind::Failed if is_about_the_pool(reason) => Kind::NoSuchPool,
        RpcErrorKind::Failed => match reason.strip_prefix(Job::FAILED) {
            Some(more) if more.contains(Job::TIMED_OUT) => Kind::TimedOut,
            Some(_) => Kind::BuildFailed { command },
            None => Kind::Failed,
        },
    }
}

fn is_cancelled(reason: &str) -> bool {
    reason == Job::CANCELLED || reason.starts_with(TICKET_CANCELLED) || reason.ends_with(GONE)
}

fn is_about_the_pool(reason: &str) -> bool {
    let (begin, middle) = NO_SUCH_POOL;
    reason.starts_with(begin) && reason.contains(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_kind() {
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
            assert_eq!(kind_of(&error, Some(3)), kind, "{error}");
        }
    }
}
