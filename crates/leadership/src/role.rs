//! What a scheduler is, and what it knows in that role.

use core::time::Duration;

use pool::Time;

use crate::{Fence, HolderId, Seen, Standbys, StopReason, Timing};

/// What a scheduler is. Only one that leads has a fence.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// It waits for the lease to be free.
    Standby(Watch),
    /// It leads.
    Leading(Term),
    /// It leads until the write that is on its way is finished, or this time comes.
    Draining {
        term: Term,
        until: Time,
        reason: StopReason,
    },
    /// It tells the database that it gives the lease up. It writes nothing else.
    Resigning { fence: Fence, reason: StopReason },
    /// It was told to stop, and has not reported that it has.
    Stopping { fence: Fence, reason: StopReason },
    /// The program ends.
    Ended,
}

/// What a standby knows of the lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// The lease as it was seen last, and since when it has been that; `None` before the first look.
    seen: Option<(Seen, Time)>,
    pub(crate) next_look: Time,
    /// The lease that it has given up, and until when it leaves that to others.
    left: Option<(Fence, Time)>,
}

impl Watch {
    pub(crate) fn new(next_look: Time, left: Option<(Fence, Time)>) -> Self {
        Self {
            seen: None,
            next_look,
            left,
        }
    }

    /// Takes note of the lease. `sent` is when the look was sent, `now` when its answer arrived. Returns how long it
    /// was certainly not renewed, by the clock of this machine.
    pub(crate) fn note(&mut self, seen: Seen, sent: Time, now: Time) -> Duration {
        let same = |known: &Seen| (known.number, known.renewals) == (seen.number, seen.renewals);
        match &mut self.seen {
            Some((known, since)) if same(known) => {
                *known = seen;
                sent.since(*since)
            }
            other => {
                *other = Some((seen, now));
                Duration::ZERO
            }
        }
    }

    /// Who has the lease, unless it has expired.
    pub(crate) fn leader(&self) -> Option<HolderId> {
        let (seen, _) = self.seen?;
        seen.holder.filter(|_| !seen.has_expired)
    }

    /// Whether it leaves this lease to nobody else. One that another scheduler had meanwhile, it takes as any other.
    pub(crate) fn may_take(&self, seen: Seen, now: Time, pause: Duration) -> bool {
        let waits = |(fence, until): (Fence, Time)| fence.number() == seen.number && now < until;
        let waited = seen.left.is_none_or(|ago| ago >= pause);
        waited && !self.left.is_some_and(waits)
    }
}

/// What a leader knows of its lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    pub(crate) fence: Fence,
    /// When the latest question was sent to which the database answered that this scheduler leads.
    pub(crate) confirmed: Time,
    pub(crate) standbys: Standbys,
    pub(crate) next_renewal: Time,
    /// Since when the leader waits for a sign of life, as a standby cannot connect to it.
    pub(crate) doubted: Option<Time>,
    /// When a peer last showed a sign of life.
    pub(crate) heard: Option<Time>,
}

impl Term {
    /// When another scheduler may lead; `None` if there is none to expect.
    pub(crate) fn expires(&self, timing: &Timing) -> Option<Time> {
        (self.standbys.expected > 0).then(|| self.confirmed + timing.lease)
    }

    /// When peers have been silent for too long; `None` if nobody doubts that they can reach this leader.
    pub(crate) fn silence_ends(&self, timing: &Timing) -> Option<Time> {
        self.doubted.map(|since| since + timing.silence)
    }

    /// Whether no peer has shown a sign of life since the leader began to wait for one.
    pub(crate) fn is_silent(&self) -> bool {
        self.heard < self.doubted
    }
}
