//! What to do after an attempt: finish the job, or try it again.

use cluster_api::{CancelledBy, Outcome, RpcError, RpcErrorKind, TicketEnd};
use futures::future::{Either, select};

use crate::state::Stage;
use crate::waiting_limit::WaitingPermit;
use crate::{Attempt, AttemptError, JobError};

/// What to do after an attempt.
pub(crate) enum Decision {
    /// The job has ended.
    Finish {
        result: Result<String, JobError>,
        stage: Stage,
    },
    /// The job is to be tried again, as it was not the job that failed.
    Retry {
        reason: String,
        /// Whether a worker was lost with the job, so that the job may have crashed it.
        suspect: bool,
    },
}

/// Waits until `attempt` has ended, and decides. `permit` is released when the job no longer waits.
pub(crate) async fn watch(attempt: &Attempt, permit: WaitingPermit) -> Decision {
    let (result, taken) = match select(attempt.taken(), attempt.result()).await {
        Either::Left((taken, result)) => {
            drop(permit);
            (result.await, taken)
        }
        Either::Right((Ok(output), _)) => return succeeded(output),
        Either::Right((Err(error), taken)) => (Err(error), taken.await),
    };
    match result {
        Ok(output) => succeeded(output),
        Err(error) if taken.as_ref() == Err(&error) => decide(error.into(), &taken),
        Err(error) => decide(attempt.explain(error).await, &taken),
    }
}

fn succeeded(output: String) -> Decision {
    Decision::Finish {
        result: Ok(output),
        stage: Stage::RanToEnd,
    }
}

/// Decides whether the job, its worker or its scheduler is to blame. `taken` is an error if no worker had the job.
fn decide(failed: AttemptError, taken: &Result<(), RpcError>) -> Decision {
    let AttemptError { outcome, error } = failed;
    // A broken promise gives one error to all calls on it.
    let never_taken = taken.as_ref() == Err(&error);
    let ticket_end = TicketEnd::of(&error);
    let reason = error.reason;
    let finish = |error, stage| Decision::Finish {
        result: Err(error),
        stage,
    };
    let ran = |error| finish(error, Stage::RanToEnd);
    match outcome {
        Outcome::Succeeded(output) => succeeded(output),
        Outcome::WorkerUnfit { had_begun, .. } => Decision::Retry {
            reason,
            // The job may have filled the disk itself.
            suspect: had_begun,
        },
        Outcome::Abandoned => Decision::Retry {
            reason,
            suspect: false,
        },
        Outcome::Lost { .. } => Decision::Retry {
            reason,
            suspect: taken.is_ok(),
        },
        // The scheduler would accept it at another time.
        Outcome::Other(_) if never_taken && error.kind == RpcErrorKind::Overloaded => {
            Decision::Retry {
                reason,
                suspect: false,
            }
        }
        // The job of a client that was removed is refused, as all jobs after it are.
        Outcome::Cancelled(CancelledBy::Operator)
            if ticket_end != Some(TicketEnd::ClientRemoved) =>
        {
            match never_taken {
                true => finish(JobError::CancelledByOperator, Stage::GaveUp),
                false => ran(JobError::CancelledByOperator),
            }
        }
        _ if never_taken => finish(JobError::Refused(reason), Stage::GaveUp),
        // This client did not cancel it. An upstream worker also reports this when it is shutting down.
        Outcome::Cancelled(_) => Decision::Retry {
            reason: "the worker stopped the job, perhaps because it is shutting down".to_owned(),
            suspect: false,
        },
        Outcome::Failed { .. }
        | Outcome::TimedOut { .. }
        | Outcome::Crashed
        | Outcome::Other(_) => ran(JobError::Failed(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(error: RpcError, taken: Result<(), RpcError>) -> String {
        shown(decide(error.into(), &taken))
    }

    fn shown(decision: Decision) -> String {
        match decision {
            Decision::Finish {
                result: Ok(output), ..
            } => output,
            Decision::Finish {
                result: Err(error), ..
            } => error.to_string(),
            Decision::Retry { reason, suspect } => format!("lost (suspect: {suspect}): {reason}"),
        }
    }

    #[test]
    fn a_build_that_failed_is_the_jobs_fault() {
        for failure in [
            RpcError::failed("Build failed"),
            RpcError::failed("Internal error"),
            RpcError::overloaded("no room on this worker"),
        ] {
            assert_eq!(decided(failure.clone(), Ok(())), failure.reason);
        }
    }

    #[test]
    fn a_job_that_no_worker_took_was_refused() {
        for refusal in [
            RpcError::failed("Access has been revoked"),
            RpcError::unimplemented("Unknown interface 1UL"),
        ] {
            let decided = decided(refusal.clone(), Err(refusal.clone()));
            assert_eq!(
                decided,
                format!("the scheduler refused the job: {}", refusal.reason)
            );
        }
    }

    #[test]
    fn an_unreadable_log_is_no_refusal() {
        let unreadable = Err(RpcError::failed("cannot read the job's log: disk"));
        assert_eq!(
            decided(RpcError::failed("Build failed"), unreadable),
            "Build failed"
        );
    }

    #[test]
    fn a_job_may_have_crashed_the_worker_that_had_it() {
        let lost = RpcError::disconnected("worker \"w1\" disconnected");
        assert_eq!(
            decided(lost.clone(), Ok(())),
            "lost (suspect: true): worker \"w1\" disconnected"
        );
        assert_eq!(
            decided(lost.clone(), Err(lost)),
            "lost (suspect: false): worker \"w1\" disconnected"
        );
    }

    #[test]
    fn a_worker_that_shuts_down_has_not_failed() {
        assert_eq!(
            decided(RpcError::failed("Build cancelled"), Ok(())),
            "lost (suspect: false): the worker stopped the job, perhaps because it is shutting down"
        );
        assert_eq!(
            decided(
                RpcError::disconnected("the worker is shutting down"),
                Ok(())
            ),
            "lost (suspect: false): the worker is shutting down"
        );
    }

    #[test]
    fn a_job_that_an_operator_cancelled_is_not_tried_again() {
        let running = AttemptError {
            outcome: Outcome::Cancelled(CancelledBy::Operator),
            error: RpcError::failed("Build cancelled"),
        };
        assert_eq!(shown(decide(running, &Ok(()))), "cancelled by an operator");
        let queued = TicketEnd::CancelledByOperator.into_error();
        let decision = decide(queued.clone().into(), &Err(queued));
        assert!(
            matches!(
                decision,
                Decision::Finish {
                    stage: Stage::GaveUp,
                    ..
                }
            ),
            "it has no log"
        );
        assert_eq!(shown(decision), "cancelled by an operator");
    }

    #[test]
    fn the_job_of_a_removed_client_is_refused() {
        let removed = TicketEnd::ClientRemoved.into_error();
        assert_eq!(
            decided(removed.clone(), Err(removed)),
            "the scheduler refused the job: Client removed (cancelled)"
        );
    }

    #[test]
    fn a_job_that_has_begun_may_have_made_its_worker_unfit() {
        let unfit = |had_begun| {
            let unfit = Outcome::WorkerUnfit {
                problem: "disk full".to_owned(),
                had_begun,
            };
            unfit.into_result().unwrap_err()
        };
        assert_eq!(
            decided(unfit(false), Ok(())),
            "lost (suspect: false): worker unfit: disk full"
        );
        assert_eq!(
            decided(unfit(true), Ok(())),
            "lost (suspect: true): worker became unfit during the job: disk full"
        );
    }

    #[test]
    fn a_busy_scheduler_is_asked_again() {
        let full = RpcError::overloaded("the scheduler is shutting down");
        assert_eq!(
            decided(full.clone(), Err(full)),
            "lost (suspect: false): the scheduler is shutting down"
        );
    }
}
