//! Numbers that name things; each kind has its own type, so that they cannot be mixed up.

use core::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u64);

        impl $name {
            /// Returns the number, for logs.
            pub fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// A ticket: one job, from its submission until it has ended. Later tickets have larger ids.
    TicketId
}

impl TicketId {
    /// Returns the ticket with this number, for an operator who names one. There may be none.
    pub fn numbered(number: u64) -> Self {
        Self(number)
    }
}

id! {
    /// A pop: one outstanding request by a worker for one job. Later pops have larger ids.
    PopId
}

/// A registration of a worker: what it holds from `register` until `release`.
///
/// A worker that comes back under its old name gets a new one, so whatever arrives late from the old
/// connection cannot affect the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId {
    pub(crate) registration: u64,
    pub(crate) slot: Slot,
}

/// Where a known worker is kept. Stays the same while the worker is known, connected or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(pub(crate) u32);
