//! What the pool decided, as data; `Display` gives the line that upstream logs for it.

use core::fmt;

use crate::{CacheHint, InactiveReason, InactiveReasons, TicketId, WorkerName};

/// A decision of the pool, or an event, for the log.
#[expect(
    missing_docs,
    reason = "each variant is its own log line, which `Display` spells out"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Registered {
        worker: WorkerName,
    },
    Released {
        worker: WorkerName,
    },
    Activated {
        worker: WorkerName,
    },
    ReasonRemoved {
        worker: WorkerName,
        reason: InactiveReason,
        left: InactiveReasons,
    },
    ShuttingDown {
        worker: WorkerName,
    },
    Deactivated {
        worker: WorkerName,
        reassigning: usize,
    },
    AddedToBacklog {
        ticket: TicketId,
        hint: CacheHint,
    },
    PushedBack {
        ticket: TicketId,
        hint: CacheHint,
    },
    AssignedToNextFree {
        ticket: TicketId,
        hint: CacheHint,
        worker: WorkerName,
    },
    AssignedToPreferred {
        ticket: TicketId,
        hint: CacheHint,
        worker: WorkerName,
    },
    MovedToFree {
        ticket: TicketId,
        hint: CacheHint,
        from: WorkerName,
        to: WorkerName,
    },
    TakenFromQueue {
        ticket: TicketId,
        hint: CacheHint,
        worker: WorkerName,
    },
    TakenFromBacklog {
        ticket: TicketId,
        hint: CacheHint,
        worker: WorkerName,
    },
    Waiting {
        worker: WorkerName,
    },
    Cancelled {
        ticket: TicketId,
        hint: CacheHint,
    },
}

impl Decision {
    /// Returns the ticket that it is about, if it is about one.
    pub fn ticket(&self) -> Option<TicketId> {
        match self {
            Self::AddedToBacklog { ticket, .. }
            | Self::PushedBack { ticket, .. }
            | Self::AssignedToNextFree { ticket, .. }
            | Self::AssignedToPreferred { ticket, .. }
            | Self::MovedToFree { ticket, .. }
            | Self::TakenFromQueue { ticket, .. }
            | Self::TakenFromBacklog { ticket, .. }
            | Self::Cancelled { ticket, .. } => Some(*ticket),
            Self::Registered { .. }
            | Self::Released { .. }
            | Self::Activated { .. }
            | Self::ReasonRemoved { .. }
            | Self::ShuttingDown { .. }
            | Self::Deactivated { .. }
            | Self::Waiting { .. } => None,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { worker } => write!(f, "Registered new worker \"{worker}\""),
            Self::Released { worker } => write!(f, "Release worker \"{worker}\""),
            Self::Activated { worker } => write!(f, "Activate queue for \"{worker}\""),
            Self::ReasonRemoved {
                worker,
                reason,
                left,
            } => {
                write!(
                    f,
                    "Removed inactive reason {reason} for \"{worker}\" (now {left})"
                )
            }
            Self::ShuttingDown { worker } => write!(f, "Worker \"{worker}\" is shutting down"),
            Self::Deactivated {
                worker,
                reassigning,
            } => {
                write!(
                    f,
                    "\"{worker}\" marked inactive (reassigning {reassigning} items)"
                )
            }
            Self::AddedToBacklog { hint, .. } => write!(f, "Adding {hint} to the backlog"),
            Self::PushedBack { hint, .. } => {
                write!(f, "Pushing {hint} back on to the main queue")
            }
            Self::AssignedToNextFree { hint, worker, .. } => {
                write!(f, "Assigning {hint} to \"{worker}\" (the next free worker)")
            }
            Self::AssignedToPreferred { hint, worker, .. } => {
                write!(f, "Assigning {hint} to \"{worker}\" (preferred)")
            }
            Self::MovedToFree { hint, from, to, .. } => {
                write!(
                    f,
                    "Moving {hint} from \"{from}\" to \"{to}\" (waited too long)"
                )
            }
            Self::TakenFromQueue { hint, worker, .. } => {
                write!(f, "\"{worker}\" takes {hint} from its local queue")
            }
            Self::TakenFromBacklog { hint, worker, .. } => {
                write!(f, "\"{worker}\" takes {hint} from the main queue")
            }
            Self::Waiting { worker } => write!(f, "\"{worker}\" is waiting for more work"),
            Self::Cancelled { hint, .. } => write!(f, "Cancel {hint}"),
        }
    }
}
