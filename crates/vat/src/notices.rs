//! What strangers can make us log, which is not more than a little.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use crate::text::Shown;

/// How many lines may come at once. With [`REFILL`], that makes at most 64 KiB in an hour.
const BURST: u32 = 50;

/// How often another one may come, and how often it is said how many did not.
pub(crate) const REFILL: Duration = Duration::from_secs(60);

/// How long a line's text is at most, in bytes.
const LENGTH: usize = 300;

/// Logs what strangers do, but not all of it.
pub(crate) struct Notices {
    left: Cell<u32>,
    hidden: Cell<u64>,
}

impl Default for Notices {
    fn default() -> Self {
        Self {
            left: Cell::new(BURST),
            hidden: Cell::new(0),
        }
    }
}

impl Notices {
    /// Logs a warning, unless there were too many.
    pub(crate) fn warn(&self, what: fmt::Arguments<'_>) {
        let Some(left) = self.left.get().checked_sub(1) else {
            self.hidden.set(self.hidden.get() + 1);
            return;
        };
        self.left.set(left);
        tracing::warn!("{}", Shown(&what.to_string(), LENGTH));
    }

    /// Says what was not said. To be called every [`REFILL`].
    pub(crate) fn refill(&self) {
        match self.hidden.take() {
            0 => self.left.set(BURST.min(self.left.get() + 1)),
            hidden => tracing::warn!(
                "{hidden} more warnings about peers that have named no service are not shown"
            ),
        }
    }
}
