//! A moment, as the caller reports it: the pool never reads a clock itself.

use core::ops::Add;
use core::time::Duration;

/// A moment: microseconds since an epoch that the caller chooses and keeps to.
///
/// Microseconds, because fair start times may lie far ahead: a million jobs of ten minutes at a
/// rate of 0.001 are twenty thousand years, for which nanoseconds would not do. Arithmetic
/// saturates, so an absurd rate gives an absurd time and not a panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// The epoch itself.
    pub const EPOCH: Self = Self(0);

    /// Returns the moment `micros` microseconds after the epoch (before it, if negative).
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns the moment `secs` seconds after the epoch (before it, if negative).
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Returns microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Returns how many seconds this lies after `now`; negative if it is past.
    pub fn secs_after(self, now: Self) -> f64 {
        self.0.saturating_sub(now.0) as f64 / 1e6
    }

    /// Returns how long this is after `earlier`; nothing if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    pub(crate) fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
