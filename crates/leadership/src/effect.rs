//! What the caller must do after telling [`Leadership`](crate::Leadership) what happened.

use core::fmt;

use crate::{Fence, Seen};

/// The number of a question to the database, by which its answer is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub(crate) u64);

/// What the caller must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the lease, leave a note that this standby has looked and whether it can connect to the leader's public
    /// address, and report [`looked`](crate::Leadership::looked).
    Look(AskId),
    /// Take the lease if it is still as it was seen, its holder, number and renewals included, and report
    /// [`taken`](crate::Leadership::taken). The new number is greater than the old one by 1.
    Take(AskId, Seen),
    /// Renew the lease with this number if that is the latest, and report [`renewed`](crate::Leadership::renewed).
    Renew(AskId, Fence),
    /// Have every peer show a sign of life, and report each with [`peer_heard`](crate::Leadership::peer_heard): a
    /// standby cannot connect to this leader.
    Probe,
    /// Lead: restore what the database has, which is to be read after this, then listen. Each write carries this fence.
    Lead(Fence),
    /// Accept nothing new, finish the write that is on its way, and report [`drained`](crate::Leadership::drained).
    Drain,
    /// Mark the lease with this number as given up, wake the standbys, and report
    /// [`resigned`](crate::Leadership::resigned). Whatever is not written yet is never written.
    Resign(AskId, Fence),
    /// Do not lead any more: close the listener and all connections, drop everything that is in memory, and report
    /// [`stopped`](crate::Leadership::stopped).
    Stop(StopReason),
}

/// Why a scheduler does not lead any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Another scheduler has taken the lease.
    Deposed,
    /// The lease could not be renewed in time, and a standby may have it by now.
    Expired,
    /// An operator asked for it, and a standby takes over.
    StepDown,
    /// A standby cannot connect to this scheduler, and no peer shows a sign of life.
    CutOff,
    /// The program ends.
    Shutdown,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deposed => "another scheduler leads",
            Self::Expired => "the lease could not be renewed in the database in time",
            Self::StepDown => "an operator asked for a handover",
            Self::CutOff => {
                "a standby cannot reach this scheduler, and no peer shows a sign of life"
            }
            Self::Shutdown => "this scheduler shuts down",
        })
    }
}

/// Why a scheduler does not step down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDownError {
    /// It does not lead.
    NotLeading,
    /// There is no standby that would lead instead.
    NoStandby,
}

impl fmt::Display for StepDownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLeading => "this scheduler does not lead",
            Self::NoStandby => "no standby has looked at the lease lately; start one first",
        })
    }
}

impl core::error::Error for StepDownError {}
