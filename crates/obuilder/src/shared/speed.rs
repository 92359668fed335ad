//! How long a fetch is expected to take, as learned from the last ones.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many fetches are remembered. With fewer, one slow fetch would count too much; with more, a network that has
/// become faster would be distrusted for long.
const REMEMBERED: usize = 15;

/// How long a fetch is remembered. If all results seem not worth it, one is fetched after this, to find out again.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// From which size on a fetch tells how fast bytes are, and not how long any fetch takes.
const LARGE: u64 = 1 << 20;

/// How much longer a fetch may take than the step: a fetched result lets the steps after it be fetched too.
const MARGIN: Duration = Duration::from_millis(500);

/// How long fetches took lately. Nothing is assumed before the first one, which is therefore made.
#[derive(Debug, Default)]
pub(super) struct Speed {
    /// Seconds of small fetches.
    small: Samples,
    /// Bytes per second of large ones.
    rates: Samples,
}

/// The last values, with the times at which they were learned.
type Samples = VecDeque<(Instant, f64)>;

impl Speed {
    /// Learns from a fetch that has ended now: download and unpacking.
    pub(super) fn learn(&mut self, now: Instant, bytes: u64, took: Duration) {
        let seconds = took.as_secs_f64().max(0.000_001);
        let (list, value) = if bytes < LARGE {
            (&mut self.small, seconds)
        } else {
            (&mut self.rates, bytes as f64 / seconds)
        };
        list.push_back((now, value));
        if list.len() > REMEMBERED {
            list.pop_front();
        }
    }

    /// Returns how long it is expected to take to fetch so many bytes.
    fn expected(&self, now: Instant, bytes: u64) -> Duration {
        let start = median(now, &self.small).unwrap_or(0.0);
        let transfer = median(now, &self.rates).map_or(0.0, |rate| bytes as f64 / rate);
        Duration::try_from_secs_f64(start + transfer).unwrap_or(Duration::MAX)
    }

    /// Returns whether to fetch so many bytes rather than to run a step that took so long.
    pub(super) fn is_worth(&self, now: Instant, bytes: u64, step: Duration) -> bool {
        self.expected(now, bytes) <= step.saturating_add(MARGIN)
    }
}

fn median(now: Instant, samples: &Samples) -> Option<f64> {
    let known = samples.iter().filter(|(at, _)| *at + FORGOTTEN > now);
    let mut sorted: Vec<f64> = known.map(|(_, value)| *value).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_result_of_a_short_step_is_not_fetched_over_a_slow_network() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut speed = Speed::default();
        // Nothing is known: the first fetch teaches it.
        assert!(speed.is_worth(now, 1 << 30, second));
        speed.learn(now, 10 << 20, 10 * second);
        assert!(!speed.is_worth(now, 10 << 20, second));
        assert!(speed.is_worth(now, 10 << 20, 20 * second));
        assert!(speed.is_worth(now, 1 << 10, Duration::ZERO));
        // It may have become faster meanwhile.
        assert!(speed.is_worth(now + FORGOTTEN, 10 << 20, second));
        // Then all are fast.
        for _ in 0..REMEMBERED {
            speed.learn(now, 100 << 20, second);
        }
        assert!(speed.is_worth(now, 10 << 20, second));
        // Small ones take long, whatever they have.
        speed.learn(now, 100, 3 * second);
        assert!(!speed.is_worth(now, 100, second));
        assert!(speed.is_worth(now, 100, 3 * second));
    }
}
