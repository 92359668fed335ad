//! Counts what was fetched and shared, and why results were not fetched.

use std::cell::Cell;
use std::time::Duration;

/// Why a result was not fetched, though it was looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MissCause {
    /// It is not there.
    Absent,
    /// It is older than results may be.
    Expired,
    /// It is not signed with an accepted key.
    Unsigned,
    /// It is damaged, cut off, or not what it should be.
    Invalid,
    /// It was built on another content of the base image.
    OtherBase,
    /// To run the step is expected to be faster.
    Slower,
    /// The repository does not answer.
    Unavailable,
}

impl MissCause {
    /// All causes.
    pub const ALL: [Self; 7] = [
        Self::Absent,
        Self::Expired,
        Self::Unsigned,
        Self::Invalid,
        Self::OtherBase,
        Self::Slower,
        Self::Unavailable,
    ];

    /// Returns the word for it in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Expired => "expired",
            Self::Unsigned => "unsigned",
            Self::Invalid => "invalid",
            Self::OtherBase => "other base",
            Self::Slower => "slower",
            Self::Unavailable => "unavailable",
        }
    }

    fn index(self) -> usize {
        Self::ALL
            .iter()
            .position(|cause| *cause == self)
            .unwrap_or_default()
    }
}

/// What was fetched and shared since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SharedStats {
    /// Steps whose results were fetched.
    pub hits: u64,
    /// Steps whose results were looked up and not fetched, by cause, in the order of [`MissCause::ALL`].
    pub misses: [u64; 7],
    /// Bytes of results that were fetched, compressed.
    pub received: u64,
    /// How long it took to fetch and to unpack them.
    pub fetching: Duration,
    /// Results that were shared.
    pub shared: u64,
    /// Results that could not be shared.
    pub not_shared: u64,
    /// Bytes that were uploaded.
    pub sent: u64,
    /// Results that wait to be shared.
    pub waiting: u64,
}

/// The counts, as they change.
#[derive(Debug, Default)]
pub(super) struct Counts(Cell<SharedStats>);

impl Counts {
    pub(super) fn get(&self) -> SharedStats {
        self.0.get()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut SharedStats)) {
        let mut stats = self.0.get();
        change(&mut stats);
        self.0.set(stats);
    }

    pub(super) fn missed(&self, cause: MissCause) {
        self.change(|stats| {
            if let Some(count) = stats.misses.get_mut(cause.index()) {
                *count = count.saturating_add(1);
            }
        });
    }
}
