//! Who has the durable jobs whose tickets are in the pools.

use std::rc::{Rc, Weak};

use cluster_api::TicketEnd;
use jobs::JobId;

use super::{ChosenWorker, Reactor};
use crate::explain::JobFacts;

/// Has durable jobs: a pool has no more than their tickets.
pub(crate) trait DurableOwner {
    /// The pool has found a worker for a job.
    fn worker_found(self: Rc<Self>, job: JobId, chosen: ChosenWorker);

    /// The ticket of a job has left the queue, and not for a worker.
    fn left_queue(&self, job: JobId, end: TicketEnd);

    /// Returns what is known of a job that waits.
    fn facts(&self, job: JobId) -> JobFacts;
}

impl Reactor {
    pub(crate) fn set_durable_owner(&self, owner: Weak<dyn DurableOwner>) {
        self.durable_owner.replace(Some(owner));
    }

    /// Returns who has the durable jobs; `None` while the scheduler ends.
    pub(super) fn durable_owner(&self) -> Option<Rc<dyn DurableOwner>> {
        self.durable_owner.borrow().as_ref()?.upgrade()
    }
}
