//! What time it is: the one place that reads a clock.
//!
//! Time is counted from the start by the runtime's own clock, so a test that stops the runtime's clock
//! stops this one too, and a correction of the system's clock cannot make anybody's fair start time
//! jump.

use std::time::{Duration, SystemTime};

use pool::Time;
use tokio::time::Instant;

use crate::db::UnixTime;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// That moment, as a time since 1970.
    start: Time,
}

impl Clock {
    pub(crate) fn start() -> Self {
        // Before 1970 or after the year 292,000 there is no date.
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started: Instant::now(),
            start: Time::from_micros(i64::try_from(since_1970.as_micros()).unwrap_or(0)),
        }
    }

    /// Returns the date of the start.
    pub(crate) fn start_date(&self) -> UnixTime {
        date(self.start)
    }

    /// Returns the time as the pool wants it.
    pub(crate) fn now(&self) -> Time {
        let micros = self.started.elapsed().as_micros();
        Time::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Returns the time since 1970, for what outlives this process.
    pub(crate) fn unix_now(&self) -> Time {
        self.since_1970(self.now())
    }

    /// Returns a time as the pool has it as one since 1970.
    pub(crate) fn since_1970(&self, time: Time) -> Time {
        Time::from_micros(time.micros().saturating_add(self.start.micros()))
    }

    /// Returns a time since 1970 as the pool has it: one before the start of this process is negative.
    pub(crate) fn since_start(&self, time: Time) -> Time {
        Time::from_micros(time.micros().saturating_sub(self.start.micros()))
    }

    /// Returns how long it is until `time`; zero if it has passed.
    pub(crate) fn until(&self, time: Time) -> Duration {
        let micros = time.micros().saturating_sub(self.now().micros());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// Returns the time as the database wants it.
    pub(crate) fn date(&self) -> UnixTime {
        date(self.unix_now())
    }
}

/// Returns a time since 1970 as the database wants it.
fn date(time: Time) -> UnixTime {
    UnixTime(time.micros().div_euclid(1_000_000))
}
