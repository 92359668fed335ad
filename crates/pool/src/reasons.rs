//! Why a worker is inactive.

use core::fmt;

/// A reason for a worker to get no jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InactiveReason {
    /// The worker paused itself; every registration starts like this.
    WorkerPause,
    /// An admin paused it. Outlives connections: see `Effect::SavePaused`.
    AdminPause,
    /// An admin paused it until it reconnects: it ends with the registration. Apart from `WorkerPause`,
    /// because the worker ends that one itself, when it has made room for example.
    TemporaryPause,
    /// It is about to be updated. The caller that set this clears it if the update fails; otherwise it ends
    /// with the registration.
    ShuttingDown,
    /// It keeps its connection, but does not answer. Ends when something arrives: see `Pool::heard_from`.
    NotAnswering,
}

/// The reasons for which a worker is inactive; it is active when there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InactiveReasons(u8);

/// In the order in which they are printed.
const ALL: [(InactiveReason, &str); 5] = [
    (InactiveReason::WorkerPause, "worker pause"),
    (InactiveReason::AdminPause, "admin pause"),
    (InactiveReason::TemporaryPause, "temporary pause"),
    (InactiveReason::ShuttingDown, "shutting down"),
    (InactiveReason::NotAnswering, "not answering"),
];

impl InactiveReasons {
    /// No reason: the worker is active.
    pub const NONE: Self = Self(0);

    /// Returns whether there is no reason to be inactive.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Returns whether `reason` is one of them.
    pub fn contains(self, reason: InactiveReason) -> bool {
        self.0 & bit(reason) != 0
    }

    /// Walks them, in the order in which they are printed.
    pub fn iter(self) -> impl Iterator<Item = InactiveReason> {
        let all = ALL.iter().map(|(reason, _)| *reason);
        all.filter(move |reason| self.contains(*reason))
    }

    /// Returns these reasons and `reason`.
    #[must_use]
    pub fn with(self, reason: InactiveReason) -> Self {
        Self(self.0 | bit(reason))
    }

    /// Returns these reasons but `reason`.
    #[must_use]
    pub fn without(self, reason: InactiveReason) -> Self {
        Self(self.0 & !bit(reason))
    }
}

fn bit(reason: InactiveReason) -> u8 {
    match reason {
        InactiveReason::WorkerPause => 1,
        InactiveReason::AdminPause => 2,
        InactiveReason::ShuttingDown => 4,
        InactiveReason::TemporaryPause => 8,
        InactiveReason::NotAnswering => 16,
    }
}

impl fmt::Display for InactiveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&InactiveReasons::NONE.with(*self), f)
    }
}

impl fmt::Display for InactiveReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (reason, text) in ALL {
            if self.contains(reason) {
                write!(f, "{separator}{text}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}
