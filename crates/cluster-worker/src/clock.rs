//! The time since 1970, for what outlives this process. A correction of the system's clock does not change it.

use std::time::{Duration, SystemTime};

use jobs::Time;
use tokio::time::Instant;

/// A clock that runs evenly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// The time at that moment.
    start: Time,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            start: unix_time(SystemTime::now()),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.start + self.started.elapsed()
    }

    /// Waits until a time is reached; for ever, if there is none.
    pub(crate) async fn reach(&self, time: Option<Time>) {
        let Some(time) = time else {
            return std::future::pending().await;
        };
        let left = time.micros().saturating_sub(self.now().micros());
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        tokio::time::sleep(left).await;
    }
}

/// Returns a time of the system's clock as the time since 1970.
pub(crate) fn unix_time(time: SystemTime) -> Time {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    Time::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
