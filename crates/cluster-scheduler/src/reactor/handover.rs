//! A job on its way from its client to the worker that asked for one.

use std::rc::Rc;

use cluster_api::{AttemptName, EncodedDescription, Job, JobResolver, PoppedJob, RpcError};
use futures::channel::oneshot;
use jobs::AttemptId;
use pool::{TicketId, WorkerName};

use super::Reactor;
use crate::attached::AttachedJob;
use crate::history::JobResult;

/// Answers a worker's call for a job. Dropping it fails the call.
pub(crate) struct PendingPop {
    answer: oneshot::Sender<PopAnswer>,
    /// Whether the worker keeps its durable jobs while it is disconnected.
    keeps_jobs: bool,
}

/// What a worker's call for a job gets.
pub(crate) enum PopAnswer {
    /// A job.
    Assigned(Assignment),
    /// No job: the one that it was chosen for is not there any more. The call waits for another one.
    WaitOn,
}

impl PendingPop {
    /// Returns the two ends of a call that waits for a job.
    pub(crate) fn new(keeps_jobs: bool) -> (Self, oneshot::Receiver<PopAnswer>) {
        let (answer, receiver) = oneshot::channel();
        (Self { answer, keeps_jobs }, receiver)
    }

    /// Returns whether the worker keeps its durable jobs while it is disconnected.
    pub(super) fn keeps_jobs(&self) -> bool {
        self.keeps_jobs
    }

    pub(crate) fn answer(self, assignment: Assignment) {
        // If the call was dropped, so is the assignment, which does what is needed.
        drop(self.answer.send(PopAnswer::Assigned(assignment)));
    }

    fn wait_on(self) {
        // If the call was dropped, nothing waits.
        drop(self.answer.send(PopAnswer::WaitOn));
    }
}

/// A worker that was chosen for a durable job, whose description is still on disk.
///
/// If it is dropped, the worker waits for another job.
pub(crate) struct ChosenWorker {
    reactor: Rc<Reactor>,
    ticket: TicketId,
    name: WorkerName,
    /// `None` once it has the job.
    pop: Option<PendingPop>,
}

impl ChosenWorker {
    pub(super) fn new(
        reactor: Rc<Reactor>,
        ticket: TicketId,
        name: WorkerName,
        pop: PendingPop,
    ) -> Self {
        Self {
            reactor,
            ticket,
            name,
            pop: Some(pop),
        }
    }

    pub(crate) fn name(&self) -> &WorkerName {
        &self.name
    }

    /// Returns whether it does not wait for a job any more.
    pub(crate) fn has_left(&self) -> bool {
        self.pop.as_ref().is_none_or(|pop| pop.answer.is_canceled())
    }

    /// Returns whether it keeps its durable jobs while it is disconnected.
    pub(crate) fn keeps_jobs(&self) -> bool {
        self.pop.as_ref().is_some_and(PendingPop::keeps_jobs)
    }

    /// Gives it the job as an attempt, which resolves `job`.
    pub(crate) fn give(
        mut self,
        description: EncodedDescription,
        job: JobResolver,
        attempt: AttemptId,
    ) {
        if let Some(pop) = self.pop.take() {
            let (reactor, name) = (Rc::clone(&self.reactor), self.name.clone());
            let work = (description, job);
            let assignment = Assignment::new(reactor, self.ticket, name, work, None);
            pop.answer(Assignment {
                attempt: Some(attempt),
                ..assignment
            });
        }
    }
}

impl Drop for ChosenWorker {
    fn drop(&mut self) {
        if let Some(pop) = self.pop.take() {
            self.reactor.job_not_given(self.ticket);
            pop.wait_on();
        }
    }
}

/// A job on its way to the worker that asked for one.
pub(crate) struct Assignment {
    description: EncodedDescription,
    /// Which attempt of a durable job it is; `None` for an attached job.
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
    /// Follows the job for the history.
    attached: Option<Rc<AttachedJob>>,
}

impl Assignment {
    pub(super) fn new(
        reactor: Rc<Reactor>,
        ticket: TicketId,
        worker: WorkerName,
        (description, job): (EncodedDescription, JobResolver),
        attached: Option<Rc<AttachedJob>>,
    ) -> Self {
        reactor.job_given(ticket);
        Self {
            description,
            attempt: None,
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
    pub(crate) fn hand_over(self, job: Job) -> PoppedJob<EncodedDescription> {
        self.promised.resolve(job);
        let attempt = self.attempt.map(|attempt| AttemptName {
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
