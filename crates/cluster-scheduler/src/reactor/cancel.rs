//! Operators cancel jobs by number.

use std::rc::{Rc, Weak};

use cluster_api::{JobPromise, RpcErrorKind, TicketEnd, Worker};
use jobs::JobId;
use pool::{TicketId, WorkerName};

use super::{Cancelled, Reactor};
use crate::attached::AttachedJob;

/// Why a job cannot be cancelled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CancelError {
    /// It has ended, or never was.
    #[error("no job {0} is queued or running in this pool")]
    Unknown(TicketId),
    /// Its worker or its connection failed.
    #[error("cannot cancel job {ticket} on worker \"{worker}\": {reason}")]
    Failed {
        ticket: TicketId,
        worker: WorkerName,
        reason: String,
    },
}

/// A job that a worker runs.
struct RunningJob {
    worker: WorkerName,
    /// The worker's capability; `None` once it is disconnected.
    handle: Option<Worker>,
    job_number: u64,
    attached: Option<Rc<AttachedJob>>,
}

impl Reactor {
    /// A client was given its ticket.
    pub(crate) fn ticket_handed_out(&self, ticket: TicketId, job: Weak<JobPromise>) {
        let tickets = &mut self.state.borrow_mut().tickets;
        tickets.hand_out(ticket, job);
    }

    /// Returns the durable job that a ticket is for, and the worker that has it; `None` if it is for an attached job.
    pub(crate) fn durable_job(&self, ticket: TicketId) -> Option<(JobId, Option<WorkerName>)> {
        let state = self.state.borrow();
        let job = state.tickets.durable_job(ticket)?;
        let running = state.tickets.running(ticket);
        Some((job, running.map(|running| running.name.clone())))
    }

    /// Cancels an attached job for an operator, and returns which worker ran it; `None` if it was queued.
    ///
    /// A worker of this project cancels by the number that the job has there. With an OCaml worker the job is reached
    /// only through its ticket, while the client holds that: the scheduler keeps no reference, or the job would
    /// continue without its client.
    pub(crate) async fn cancel_for_operator(
        &self,
        ticket: TicketId,
        by: &str,
    ) -> Result<Option<WorkerName>, CancelError> {
        let Some(job) = self.running_job(ticket) else {
            let Cancelled::Queued = self.cancel(ticket, TicketEnd::CancelledByOperator) else {
                return Err(CancelError::Unknown(ticket));
            };
            self.log_cancelled(ticket, by);
            return Ok(None);
        };
        if let Some(attached) = &job.attached {
            attached.operator_stops();
        }
        let stopped = self.stop(ticket, &job).await;
        if let (Err(_), Some(attached)) = (&stopped, &job.attached) {
            attached.operator_failed();
        }
        stopped?;
        self.log_cancelled(ticket, by);
        Ok(Some(job.worker))
    }

    /// Asks the worker to stop a job.
    async fn stop(&self, ticket: TicketId, job: &RunningJob) -> Result<(), CancelError> {
        let failed = |reason: String| CancelError::Failed {
            ticket,
            worker: job.worker.clone(),
            reason,
        };
        let asked = match &job.handle {
            Some(worker) => worker.cancel_job(job.job_number).await,
            None => return Err(CancelError::Unknown(ticket)),
        };
        let stopped = match asked {
            Err(error) if error.kind == RpcErrorKind::Unimplemented => {
                let held = self.state.borrow().tickets.held(ticket);
                let held = held.ok_or_else(|| {
                    failed(
                        "the worker does not cancel jobs by number, and the client has released the ticket; \
                         cancel it from the client"
                            .to_owned(),
                    )
                })?;
                held.cancel().await
            }
            asked => asked,
        };
        stopped.map_err(|error| failed(error.to_string()))
    }

    fn running_job(&self, ticket: TicketId) -> Option<RunningJob> {
        let state = self.state.borrow();
        let running = state.tickets.running(ticket)?;
        let registered = state.workers.get(running.worker);
        Some(RunningJob {
            worker: running.name.clone(),
            handle: registered.map(|registered| registered.worker.clone()),
            job_number: running.job_number,
            attached: running.attached.clone(),
        })
    }

    pub(crate) fn log_cancelled(&self, ticket: TicketId, by: &str) {
        tracing::info!(
            target: "scheduler",
            ticket = %self.full_name(ticket),
            "Cancelled by an operator ({})", visible::Shown(if by.is_empty() { "unnamed" } else { by })
        );
    }
}
