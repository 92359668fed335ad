//! A job on its way from its client to the worker that asked for one.

use std::rc::Rc;

use cluster_api::{EncodedDescription, Job, JobResolver, RpcError};
use futures::channel::oneshot;
use pool::{TicketId, WorkerName};

use super::Reactor;
use crate::attached::AttachedJob;
use crate::history::JobResult;
use crate::tickets::Request;

/// Answers a worker's call for a job. Dropping it fails the call.
pub(crate) struct PendingPop(oneshot::Sender<Assignment>);

impl PendingPop {
    /// Returns the two ends of a call that waits for a job.
    pub(crate) fn new() -> (Self, oneshot::Receiver<Assignment>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    pub(crate) fn answer(self, assignment: Assignment) {
        // If the call was dropped, so is the assignment, which does what is needed.
        drop(self.0.send(assignment));
    }
}

/// A job on its way to the worker that asked for one.
pub(crate) struct Assignment {
    description: EncodedDescription,
    promised: PromisedJob,
}

/// The client's half of an [`Assignment`].
///
/// If it is dropped before the worker has handed over its job (its connection broke just then), the
/// client gets an error.
struct PromisedJob {
    reactor: Rc<Reactor>,
    ticket: TicketId,
    worker: WorkerName,
    /// `None` once the job is known.
    resolver: Option<JobResolver>,
    /// Follows the job for the history.
    attached: Option<Rc<AttachedJob>>,
}

impl Assignment {
    pub(crate) fn new(
        reactor: Rc<Reactor>,
        ticket: TicketId,
        worker: WorkerName,
        request: Request,
    ) -> Self {
        let Request {
            client: _,
            description,
            job,
            _reservation: _,
            hold: _,
            attached,
        } = request;
        if let Some(attached) = &attached {
            attached.assigned(worker.clone());
        }
        Self {
            description,
            promised: PromisedJob {
                reactor,
                ticket,
                worker,
                resolver: Some(job),
                attached,
            },
        }
    }

    /// Introduces the worker's job to the client, and returns what the worker is to do.
    pub(crate) fn hand_over(self, job: Job) -> EncodedDescription {
        self.promised.resolve(job);
        self.description
    }
}

impl PromisedJob {
    /// Makes the job known, and keeps no reference to it: it lives for as long as its client, or the
    /// ticket, holds it. What is kept is the answer to `result`, which comes when it has ended.
    fn resolve(mut self, job: Job) {
        let ended = job.result();
        let attached = self.attached.take();
        let job = match &attached {
            Some(attached) => attached.handed_over(job),
            None => job,
        };
        if let Some(resolver) = self.resolver.take() {
            resolver.resolve(job);
        }
        let (reactor, ticket) = (Rc::clone(&self.reactor), self.ticket);
        tokio::task::spawn_local(async move {
            // The result itself goes from the worker to the client.
            let result = ended.await;
            if let Some(attached) = attached {
                attached.ended(&result);
            }
            reactor.job_finished(ticket, JobResult::of(&result));
        });
    }
}

impl Drop for PromisedJob {
    fn drop(&mut self) {
        if let Some(resolver) = self.resolver.take() {
            let worker = self.worker.as_str();
            resolver.fail(RpcError::disconnected(format!(
                "worker {worker:?} disconnected before it could start this job"
            )));
            if let Some(attached) = &self.attached {
                attached.lost_with_worker();
            }
            self.reactor.job_finished(self.ticket, JobResult::Lost);
        }
    }
}
