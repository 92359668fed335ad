//! The lease as the database keeps it, and what the database answers.

use core::fmt;
use core::time::Duration;

/// The number of a lease, which every write of its leader carries.
///
/// The database refuses a write whose number is not the latest. Only [`Leadership`](crate::Leadership) makes a fence,
/// and only when the database has granted the lease: a scheduler that does not lead has nothing to write with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number, for the database.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a scheduler: random, and kept in its state directory, so that it is the same after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderId(pub u64);

/// The lease, as a standby sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The number of the latest lease; 0 if nobody has led yet.
    pub number: u64,
    /// How often that lease was renewed.
    pub renewals: u64,
    /// Who has it; `None` if it was given up.
    pub holder: Option<HolderId>,
    /// Whether it has expired, by the clock of the database.
    pub has_expired: bool,
    /// How long ago this scheduler gave it up so that another one leads, by the clock of the database; `None` if it did
    /// not. So it is known to the next process, too.
    pub left: Option<Duration>,
}

/// The standbys, as the leader learns of them from the database. Each standby leaves a note there when it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standbys {
    /// How many have looked within the last minute: one that is restarted is still expected.
    pub expected: u32,
    /// How many have looked within the duration of a lease: they would lead at once. A note from the future, as the
    /// clock of the database was set back, is an old one.
    pub present: u32,
    /// How many of those that are present could not connect to the leader's public address.
    pub cut_off: u32,
}

impl Standbys {
    /// Whether peers may not reach the leader either. One standby is enough, as the leader asks its peers then.
    pub(crate) fn miss_the_leader(self) -> bool {
        self.cut_off > 0
    }
}

/// How the database answers an attempt to take the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeAnswer {
    /// The lease is taken, under a number that no earlier one had.
    Taken {
        /// The number.
        number: u64,
        /// Who else would lead.
        standbys: Standbys,
    },
    /// The lease is no longer as it was seen: another scheduler was faster, or its leader has renewed it.
    Changed,
}

/// How the database answers an attempt to renew the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewAnswer {
    /// It is renewed.
    Renewed(Standbys),
    /// The number is still the latest, but the database cannot write: its disk is full, or it is read-only. So no
    /// other scheduler can take the lease either.
    ReadOnly,
    /// Another scheduler has taken the lease.
    Deposed,
}
