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
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) client: ClientId,
    pub(crate) hint: CacheHint,
    pub(crate) fair_start: Time,
    /// By how much it moved its client's next fair start; `None` if it did not, as this pool found it running.
    pub(crate) charge: Option<Duration>,
    /// Whether a worker had it, who may have been chosen or kept waiting because of it: then its client gets nothing
    /// back if it is cancelled.
    pub(crate) was_assigned: bool,
    /// Whether the worker that it is assigned to, or that has taken it, had its hint cached before.
    pub(crate) is_warm: bool,
    pub(crate) urgent: bool,
    pub(crate) location: Location,
}

/// Where a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// In the backlog.
    Backlog {
        /// Since when workers leave it to one that has its hint cached; `None` if no worker does.
        passed_since: Option<Time>,
    },
    /// In a worker's queue.
    Queue {
        worker: Slot,
        /// Whether that is preferred, as it has the hint cached; else it was free.
        is_preferred: bool,
        /// What its job is expected to take there.
        cost: Duration,
        /// From then on any worker that is free may have it.
        deadline: Time,
    },
    /// With a worker, who runs its job.
    Running {
        worker: Slot,
        /// Since when; `None` if this pool found it running.
        since: Option<Time>,
    },
}

impl Location {
    /// In the backlog, where no worker has come to it yet.
    pub(crate) const BACKLOG: Self = Self::Backlog { passed_since: None };
}

impl Ticket {
    /// Returns which cost is expected of it with its worker.
    pub(crate) fn estimate(&self) -> Estimate {
        match self.is_warm {
            true => Estimate::Cached,
            false => Estimate::NonCached,
        }
    }

    /// Returns when it is its turn.
    pub(crate) fn turn(&self, id: TicketId) -> Turn {
        Turn::new(self.urgent, self.fair_start, id)
    }
}
