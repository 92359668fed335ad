//! A rate limit for warnings that unauthenticated peers can cause.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use crate::text::LogText;

/// How many warnings may come at once. With [`REFILL_INTERVAL`], that makes at most 64 KiB in an hour.
const BURST: u32 = 50;

/// How often one more warning is allowed, and how often the number of suppressed ones is logged.
pub(crate) const REFILL_INTERVAL: Duration = Duration::from_secs(60);

/// The longest text of a warning, in bytes.
const MAX_TEXT_BYTES: usize = 300;

/// Logs what unauthenticated peers do, at a limited rate.
pub(crate) struct LogLimiter {
    /// How many warnings may still be logged.
    allowance: Cell<u32>,
    suppressed: Cell<u64>,
}

impl Default for LogLimiter {
    fn default() -> Self {
        Self {
            allowance: Cell::new(BURST),
            suppressed: Cell::new(0),
        }
    }
}

impl LogLimiter {
    /// Logs a warning, unless there were too many.
    pub(crate) fn warn(&self, what: fmt::Arguments<'_>) {
        let Some(left) = self.allowance.get().checked_sub(1) else {
            self.suppressed.set(self.suppressed.get() + 1);
            return;
        };
        self.allowance.set(left);
        tracing::warn!("{}", LogText(&what.to_string(), MAX_TEXT_BYTES));
    }

    /// Allows one more warning, or logs how many were suppressed. Call it every [`REFILL_INTERVAL`].
    pub(crate) fn refill(&self) {
        match self.suppressed.take() {
            0 => self.allowance.set(BURST.min(self.allowance.get() + 1)),
            suppressed => {
                tracing::warn!("Suppressed {suppressed} more warnings about unauthenticated peers");
            }
        }
    }
}
