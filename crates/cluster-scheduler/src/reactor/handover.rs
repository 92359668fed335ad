//! A job on its way from its client to the worker that asked for one.

use std::rc::Rc;

use cluster_api::{DurableAttempt, EncodedDescription, Job, JobResolver, PoppedJob, RpcError};
use futures::channel::oneshot;
use jobs::AttemptId;
use pool::{TicketId, WorkerName};

use super::Reactor;
use crate::history::JobResult;
use crate::tickets::Request;

/// Answers a worker's call for a job. Dropping it fails the call.
pub(crate) struct PendingPop {
    answer: oneshot::Sender<Assignment>,
    /// Whether the worker keeps its durable jobs while it is disconnected.
    pub(super) keeps_jobs: bool,
}

impl PendingPop {
    /// Returns the two ends of a call that waits for a job.
    pub(crate) fn new(keeps_jobs: bool) -> (Self, oneshot::Receiver<Assignment>) {
        let (answer, receiver) = oneshot::channel();
        (Self { answer, keeps_jobs }, receiver)
    }

    pub(crate) fn answer(self, assignment: Assignment) {
        // If the call was dropped, so is the assignment, which does what is needed.
        drop(self.answer.send(assignment));
    }
}

/// A job on its way to the worker that asked for one.
pub(crate) struct Assignment {
    description: EncodedDescription,
    /// Which attempt of a durable job it is.
    attempt: Option<AttemptId>,
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
        } = request;
        Self {
            description,
            attempt: None,
            promised: PromisedJob {
                reactor,
                ticket,
                worker,
                resolver: Some(job),
            },
        }
    }

    /// Says which attempt of a durable job it is.
    pub(crate) fn of_attempt(self, attempt: Option<AttemptId>) -> Self {
        Self { attempt, ..self }
    }

    /// Introduces the worker's job to the client, and returns what the worker is to do.
    pub(crate) fn hand_over(self, job: Job) -> PoppedJob<EncodedDescription> {
        self.promised.resolve(job);
        let attempt = self.attempt.map(|attempt| DurableAttempt {
            job: attempt.job.to_string(),
            number: attempt.number,
        });
        PoppedJob {
            description: self.description,
            attempt,
        }
    }
}

impl PromisedJob {
    /// Makes the job known, and keeps no reference to it: it lives for as long as its client, or the
    /// ticket, holds it. What is kept is the answer to `result`, which comes when it has ended.
    fn resolve(mut self, job: Job) {
        let ended = job.result();
        if let Some(resolver) = self.resolver.take() {
            resolver.resolve(job);
        }
        let (reactor, ticket) = (Rc::clone(&self.reactor), self.ticket);
        tokio::task::spawn_local(async move {
            // The result itself goes from the worker to the client.
            let end = JobResult::of(&ended.await);
            reactor.job_finished(ticket, end);
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
            self.reactor
                .job_finished(self.ticket, JobResult::Disconnected);
        }
    }
}
