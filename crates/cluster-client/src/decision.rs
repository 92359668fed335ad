//! One attempt at a job: from the submit to its end, or to the loss of whoever had it.

use std::time::Duration;

use cluster_api::{Answer, CancelledBy, Job, Outcome, Pipelined, RpcError, RpcErrorKind, Ticket};
use futures::future::{Either, select};
use tokio::time::timeout;

use crate::JobError;
use crate::places::Place;

/// How long a cancelled job has to end before it is left to the scheduler.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a worker may take to report the outcome of a job that has ended.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// A submitted job.
pub(crate) struct Attempt {
    ticket: Pipelined<Ticket>,
    job: Pipelined<Job>,
    result: Answer<String>,
}

/// How an attempt ended.
pub(crate) enum End {
    /// The job has ended.
    Over(Result<String, JobError>),
    /// It is to be tried again, as it was not the job that failed.
    Lost {
        reason: String,
        /// Whether a worker was lost with the job, so that it may be the job that took it down.
        suspect: bool,
    },
}

impl Attempt {
    /// Watches a job that has just been submitted.
    pub(crate) fn new(ticket: Pipelined<Ticket>) -> Self {
        let job = ticket.job();
        Self {
            result: job.result(),
            job,
            ticket,
        }
    }

    pub(crate) fn job(&self) -> Job {
        Job::clone(&self.job)
    }

    /// Waits for the end, and gives the place back when the job waits no more.
    pub(crate) async fn end(&mut self, place: Place) -> End {
        let taken = self.job.taken();
        let (result, taken) = match select(taken, &mut self.result).await {
            Either::Left((taken, result)) => {
                drop(place);
                (result.await, taken)
            }
            Either::Right((Ok(output), _)) => return End::Over(Ok(output)),
            Either::Right((Err(error), taken)) => (Err(error), taken.await),
        };
        match result {
            Ok(output) => End::Over(Ok(output)),
            Err(error) => judge(self.outcome(&error, &taken).await, error, &taken),
        }
    }

    /// Returns the outcome of the job that ended with `error`.
    async fn outcome(&self, error: &RpcError, taken: &Result<(), RpcError>) -> Outcome {
        if taken.as_ref() == Err(error) {
            return Outcome::of_error(error);
        }
        let reported = timeout(OUTCOME_TIMEOUT, self.job.explain(error.clone()));
        reported.await.unwrap_or_else(|_| Outcome::of_error(error))
    }

    /// Takes the job out of the backlog or stops it, and waits until it has ended.
    pub(crate) async fn cancel(self) -> Result<String, JobError> {
        let stopped = async {
            // It fails if the job has ended already, or is lost. Either way, there is an end.
            drop(self.ticket.cancel().await);
            self.result.await
        };
        match timeout(CANCEL_TIMEOUT, stopped).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(_)) | Err(_) => Err(JobError::Cancelled),
        }
    }
}

/// Decides whether the job, its worker or its scheduler is to blame. `taken` is an error if no worker had the job.
fn judge(outcome: Outcome, error: RpcError, taken: &Result<(), RpcError>) -> End {
    // A broken promise gives one error to all that is asked of it.
    let never_taken = taken.as_ref() == Err(&error);
    let reason = error.reason;
    match outcome {
        Outcome::Succeeded(output) => End::Over(Ok(output)),
        Outcome::WorkerUnfit { had_begun, .. } => End::Lost {
            reason,
            // It may have filled the disk itself.
            suspect: had_begun,
        },
        Outcome::Abandoned => End::Lost {
            reason,
            suspect: false,
        },
        Outcome::Lost { .. } => End::Lost {
            reason,
            suspect: taken.is_ok(),
        },
        // The scheduler would accept it another time.
        Outcome::Other(_) if never_taken && error.kind == RpcErrorKind::Overloaded => End::Lost {
            reason,
            suspect: false,
        },
        _ if never_taken => End::Over(Err(JobError::Refused(reason))),
        Outcome::Cancelled(CancelledBy::Operator) => End::Over(Err(JobError::CancelledByOperator)),
        // We did not cancel it. An upstream worker also reports this when it shuts down.
        Outcome::Cancelled(CancelledBy::Unknown | CancelledBy::Client) => End::Lost {
            reason: "the worker stopped the job, as it does when it is told to end".to_owned(),
            suspect: false,
        },
        Outcome::Failed { .. }
        | Outcome::TimedOut { .. }
        | Outcome::Crashed
        | Outcome::Other(_) => End::Over(Err(JobError::Failed(reason))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(error: RpcError, taken: Result<(), RpcError>) -> String {
        shown(judge(Outcome::of_error(&error), error, &taken))
    }

    fn shown(end: End) -> String {
        match end {
            End::Over(Ok(output)) => output,
            End::Over(Err(error)) => error.to_string(),
            End::Lost { reason, suspect } => format!("lost (suspect: {suspect}): {reason}"),
        }
    }

    #[test]
    fn a_build_that_failed_is_the_jobs_fault() {
        for failure in [
            RpcError::failed("Build failed"),
            RpcError::failed("Internal error"),
            RpcError::overloaded("no room on this worker"),
        ] {
            assert_eq!(judged(failure.clone(), Ok(())), failure.reason);
        }
    }

    #[test]
    fn what_no_worker_had_was_refused() {
        for refusal in [
            RpcError::failed("Access has been revoked"),
            RpcError::unimplemented("Unknown interface 1UL"),
        ] {
            let judged = judged(refusal.clone(), Err(refusal.clone()));
            assert_eq!(
                judged,
                format!("the scheduler refused the job: {}", refusal.reason)
            );
        }
    }

    #[test]
    fn a_log_that_cannot_be_read_is_no_refusal() {
        let unreadable = Err(RpcError::failed("cannot read the job's log: disk"));
        assert_eq!(
            judged(RpcError::failed("Build failed"), unreadable),
            "Build failed"
        );
    }

    #[test]
    fn a_lost_connection_is_nobodys_fault() {
        let lost = RpcError::disconnected("worker \"w1\" disconnected");
        assert_eq!(
            judged(lost.clone(), Ok(())),
            "lost (suspect: true): worker \"w1\" disconnected"
        );
        assert_eq!(
            judged(lost.clone(), Err(lost)),
            "lost (suspect: false): worker \"w1\" disconnected"
        );
    }

    #[test]
    fn a_worker_that_ends_has_not_failed() {
        assert_eq!(
            judged(RpcError::failed("Build cancelled"), Ok(())),
            "lost (suspect: false): the worker stopped the job, as it does when it is told to end"
        );
        assert_eq!(
            judged(
                RpcError::disconnected("the worker is shutting down"),
                Ok(())
            ),
            "lost (suspect: false): the worker is shutting down"
        );
    }

    #[test]
    fn a_job_that_an_operator_cancelled_is_not_tried_again() {
        let cancelled = Outcome::Cancelled(CancelledBy::Operator);
        let end = judge(cancelled, RpcError::failed("Build cancelled"), &Ok(()));
        assert_eq!(shown(end), "cancelled by an operator");
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
            judged(unfit(false), Ok(())),
            "lost (suspect: false): worker unfit: disk full"
        );
        assert_eq!(
            judged(unfit(true), Ok(())),
            "lost (suspect: true): worker became unfit during the job: disk full"
        );
    }

    #[test]
    fn a_scheduler_that_has_no_room_now_is_asked_again() {
        let full = RpcError::overloaded("the scheduler is shutting down");
        assert_eq!(
            judged(full.clone(), Err(full)),
            "lost (suspect: false): the scheduler is shutting down"
        );
    }
}
