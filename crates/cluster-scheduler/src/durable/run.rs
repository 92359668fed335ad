//! What is followed: a ticket, and the attempt that it becomes.

use std::cell::RefCell;
use std::rc::Rc;

use jobs::{AttemptId, JobId};
use pool::WorkerName;

/// A ticket, and the attempt that it becomes when a worker takes it; or an attempt that a worker has returned with.
pub(super) struct Run {
    pub(super) job: JobId,
    taken: RefCell<Option<Taken>>,
}

/// An attempt, and its worker.
#[derive(Clone)]
pub(super) struct Taken {
    pub(super) attempt: AttemptId,
    pub(super) worker: WorkerName,
    /// Whether the worker keeps it while it is disconnected.
    pub(super) outlives_connection: bool,
    /// Whether the worker's process ended while it ran.
    pub(super) is_interrupted: bool,
}

impl Run {
    pub(super) fn new(job: JobId) -> Rc<Self> {
        Rc::new(Self {
            job,
            taken: RefCell::new(None),
        })
    }

    /// A worker has returned with an attempt.
    pub(super) fn returned(
        attempt: AttemptId,
        worker: WorkerName,
        is_interrupted: bool,
    ) -> Rc<Self> {
        let taken = Taken {
            attempt,
            worker,
            outlives_connection: true,
            is_interrupted,
        };
        Rc::new(Self {
            job: attempt.job,
            taken: RefCell::new(Some(taken)),
        })
    }

    /// A worker has taken the ticket.
    pub(super) fn begin(&self, attempt: AttemptId, worker: WorkerName, outlives_connection: bool) {
        self.taken.replace(Some(Taken {
            attempt,
            worker,
            outlives_connection,
            is_interrupted: false,
        }));
    }

    /// Returns whether the worker keeps it while it is disconnected.
    pub(super) fn outlives_connection(&self) -> bool {
        let taken = self.taken.borrow();
        taken
            .as_ref()
            .is_some_and(|taken| taken.outlives_connection)
    }

    pub(super) fn taken(&self) -> Option<Taken> {
        self.taken.borrow().clone()
    }

    pub(super) fn attempt(&self) -> Option<AttemptId> {
        Some(self.taken.borrow().as_ref()?.attempt)
    }
}
