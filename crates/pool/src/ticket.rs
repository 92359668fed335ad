//! A ticket: what it asks for, and how far it has got.

use core::time::Duration;

use crate::backlog::Turn;
use crate::ids::Slot;
use crate::{CacheHint, ClientId, Estimate, TicketId, Time};

/// Where a job stood in the queue, to be put there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When it would start if shares were exact, as [`Pool::fair_start`](crate::Pool::fair_start) returned it.
    pub fair_start: Time,
    /// Whether a worker has had it: then its client gets nothing back if it is cancelled.
    pub was_assigned: bool,
}

/// A ticket, from its submission until its job has ended.
///
/// There may be a million of these: keep it small.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) client: ClientId,
    pub(crate) hint: CacheHint,
    pub(crate) fair_start: Time,
    /// What its client gets back if it is cancelled; `None` once the ticket was assigned to a
    /// worker, who may have been chosen or kept waiting because of it.
    pub(crate) refund: Option<Duration>,
    pub(crate) urgent: bool,
    pub(crate) location: Location,
}

/// Where a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// In the backlog.
    Backlog,
    /// In a worker's queue.
    Queue {
        worker: Slot,
        estimate: Estimate,
        /// From then on any worker that is free may have it.
        deadline: Time,
    },
    /// With a worker, who runs its job.
    Running { worker: Slot },
}

impl Ticket {
    /// Returns when it is its turn.
    pub(crate) fn turn(&self, id: TicketId) -> Turn {
        Turn::new(self.urgent, self.fair_start, id)
    }
}
