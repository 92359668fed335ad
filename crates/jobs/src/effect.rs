//! What the caller must do after telling [`Jobs`](crate::Jobs) what happened.

use alloc::sync::Arc;
use alloc::vec::Vec;

use pool::{CacheHint, ClientId, Time, WorkerName};

use crate::{AttemptId, Change, ChangeId, JobId, RequestId, Stage};

/// What the caller must do.
///
/// All that a peer sees comes only after the changes that it tells of are on disk. The queues of pools are not seen:
/// [`Enqueue`](Effect::Enqueue) and [`Withdraw`](Effect::Withdraw) come at once, so that a worker that waits is chosen
/// while the disk writes, and both are saved together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Save this change, after all with smaller numbers, and report [`committed`](crate::Jobs::committed).
    Save(ChangeId, Change),
    /// Put the job into its pool's queue, and report where it stands there ([`placed`](crate::Jobs::placed)).
    Enqueue {
        /// The job.
        job: JobId,
        /// Whose it is.
        client: ClientId,
        /// The pool.
        pool: Arc<str>,
        /// Its cache hint.
        hint: CacheHint,
        /// Whether it is urgent.
        urgent: bool,
        /// The place that it had before; `None` for a new one.
        fair_start: Option<Time>,
    },
    /// Take the job out of its pool's queue.
    Withdraw {
        /// The job.
        job: JobId,
    },
    /// Hand the attempt to the worker that it was assigned to. If that worker has left meanwhile, do nothing.
    Start {
        /// The attempt.
        attempt: AttemptId,
        /// The worker.
        worker: WorkerName,
    },
    /// The worker was chosen for the attempt, which is no longer wanted, and does not get it: have it wait for another
    /// job. If it has left meanwhile, do nothing.
    Unassign {
        /// The attempt.
        attempt: AttemptId,
        /// The worker.
        worker: WorkerName,
    },
    /// Have the worker stop the attempt. Its end is reported as any other.
    Stop {
        /// The attempt.
        attempt: AttemptId,
        /// The worker.
        worker: WorkerName,
    },
    /// Tell the worker that its attempt's end and log are kept, so that it can forget both.
    Acknowledge {
        /// The attempt.
        attempt: AttemptId,
        /// The worker.
        worker: WorkerName,
    },
    /// Answer a client's request about this job: it is done.
    Answer {
        /// The request.
        request: RequestId,
        /// The job.
        job: JobId,
    },
    /// Answer a client's request to cancel this job with the error that the job has ended before.
    AnswerEnded {
        /// The request.
        request: RequestId,
        /// The job.
        job: JobId,
    },
    /// Answer a client's submission with the error that it cannot be saved. There is no such job; drop what is to be
    /// saved of it.
    Refuse {
        /// The request.
        request: RequestId,
        /// The job that is none.
        job: JobId,
    },
    /// Answer a worker that has returned.
    AnswerReturn {
        /// The request.
        request: RequestId,
        /// What to do with each attempt that it holds, in the order in which it listed them.
        held: Vec<HeldAnswer>,
    },
    /// Show this to those who watch the job.
    Changed {
        /// The job.
        job: JobId,
        /// Grows with each change.
        version: u64,
        /// How far it has come.
        stage: Stage,
    },
}

/// What a worker that has returned is to do with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldAnswer {
    /// Go on, and keep its end and log until they are acknowledged.
    Keep,
    /// Stop it if it runs, and forget it.
    Forget,
}
