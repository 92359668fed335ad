//! What a client sees of an attached job that it finds in the history while the job goes on.

use std::rc::Rc;

use cluster_api::{DurableStatus, RpcError, TicketEnd};
use jobs::{AttemptId, CancelError, CancelledBy, Stage};
use pool::TicketId;

use crate::attached::AttachedJob;
use crate::durable::progress::waiting;
use crate::durable::{DurableJobs, convert};
use crate::reactor::{Cancelled, Reactor};

impl DurableJobs {
    /// Returns the status of a job, once it has a later version than this. One that has ended does not change.
    pub(in crate::durable) async fn watch_attached(
        &self,
        job: &AttachedJob,
        version: Option<u64>,
    ) -> DurableStatus {
        loop {
            let changed = job.changed();
            let is_news = version.is_none_or(|version| job.version() > version);
            if is_news || job.has_ended() {
                return self.attached_status(job);
            }
            changed.await;
        }
    }

    fn attached_status(&self, job: &AttachedJob) -> DurableStatus {
        let stage = job.stage();
        let (ahead, obstacle) = match stage {
            Stage::Queued { .. } => waiting(
                self.attached_ticket(job)
                    .map(|(pool, ticket)| pool.ticket_state(ticket)),
            ),
            _ => (0, None),
        };
        let version = match stage {
            Stage::Ended { .. } => u64::MAX,
            _ => job.version(),
        };
        DurableStatus {
            version,
            stage: convert::stage(&stage, job.attempts(), job.submitted(), ahead, obstacle),
        }
    }

    /// Returns the pool and the ticket of a job, once it has one.
    pub(in crate::durable) fn attached_ticket(
        &self,
        job: &AttachedJob,
    ) -> Option<(&Rc<Reactor>, TicketId)> {
        let (pool, ticket) = job.ticket()?;
        Some((self.pools.get(pool)?, ticket))
    }

    /// Takes a job out of the queue, or asks its worker to stop it.
    pub(in crate::durable) async fn cancel_attached(
        &self,
        attached: &AttachedJob,
        by: CancelledBy,
    ) -> Result<(), RpcError> {
        if attached.has_ended() {
            return Err(RpcError::failed(CancelError::Ended.to_string()));
        }
        match attached.job() {
            Some(job) => {
                let is_operator = by == CancelledBy::Operator;
                if is_operator {
                    attached.operator_stops();
                }
                let asked = job.cancel();
                drop(job);
                let result = asked.await;
                if is_operator && result.is_err() {
                    attached.operator_failed();
                }
                result
            }
            // Nobody holds it any more, so its worker stops it anyway.
            None if attached.was_taken() => Ok(()),
            None => self.take_out_of_queue(attached, by),
        }
    }

    fn take_out_of_queue(&self, job: &AttachedJob, by: CancelledBy) -> Result<(), RpcError> {
        let end = match by {
            CancelledBy::Operator => TicketEnd::CancelledByOperator,
            CancelledBy::Client | CancelledBy::Departure => TicketEnd::Cancelled,
        };
        let ticket = self.attached_ticket(job);
        match ticket.map(|(pool, ticket)| pool.cancel(ticket, end)) {
            Some(Cancelled::Queued) => Ok(()),
            Some(Cancelled::NotQueued) | None => Err(RpcError::failed(
                "cannot cancel the job: a worker is about to take it; try again",
            )),
        }
    }
}

/// Waits until the store has more of the log of a job than this, or all of it.
pub(in crate::durable) async fn until_log(
    job: &AttachedJob,
    attempt: AttemptId,
    start: u64,
) -> Result<(), RpcError> {
    if attempt != job.attempt_id() {
        return Err(RpcError::failed(format!("{attempt} has not begun")));
    }
    loop {
        let changed = job.changed();
        let (length, is_complete) = job.log();
        if length > start || is_complete {
            return Ok(());
        }
        changed.await;
    }
}
