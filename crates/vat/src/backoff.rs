//! When to try again after a connection was lost, or could not be made.

use std::time::{Duration, Instant};

/// Spaces out attempts: at most one in each interval.
///
/// A plain value: the caller passes the time. The first attempt is made at once, and so is one after a connection that
/// has lasted for an interval. Only repeated failures are slowed down.
#[derive(Clone, Debug)]
pub struct Backoff {
    interval: Duration,
    last: Option<Instant>,
}

impl Backoff {
    /// Upstream's interval: a worker dials its scheduler at most every 10 s.
    pub const INTERVAL: Duration = Duration::from_secs(10);

    /// Returns a value that allows one attempt in each interval.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: None,
        }
    }

    /// Plans an attempt; returns how long to wait before making it.
    pub fn next_attempt(&mut self, now: Instant) -> Duration {
        let at = match self.last {
            Some(last) => now.max(last + self.interval),
            None => now,
        };
        self.last = Some(at);
        at.saturating_duration_since(now)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Self::INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn one_attempt_in_ten_seconds() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next_attempt(start), seconds(0));
        // It fails after a second.
        assert_eq!(backoff.next_attempt(start + seconds(1)), seconds(9));
        // The next one starts at 10 and fails at once.
        assert_eq!(backoff.next_attempt(start + seconds(10)), seconds(10));
        // That one, started at 20, lasts for a minute.
        assert_eq!(backoff.next_attempt(start + seconds(80)), seconds(0));
        assert_eq!(backoff.next_attempt(start + seconds(80)), seconds(10));
    }

    #[test]
    fn a_clock_that_stands_still_does_not_shorten_the_wait() {
        let now = Instant::now();
        let mut backoff = Backoff::new(seconds(3));
        let waits: Vec<_> = (0..4).map(|_| backoff.next_attempt(now)).collect();
        assert_eq!(waits, [seconds(0), seconds(3), seconds(6), seconds(9)]);
    }
}
