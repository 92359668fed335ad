//! How long a fetch is expected to take, as learned from the last ones.

use std::collections::VecDeque;
use std::time::Duration;

/// How many fetches are remembered. With fewer, one slow fetch would count too much; with more, a network that has become
/// faster would be distrusted for long.
const REMEMBERED: usize = 15;

/// From which size on a fetch tells how fast bytes are, and not how long any fetch takes.
const LARGE: u64 = 1 << 20;

/// How much longer a fetch may take than the step: a fetched result lets the steps after it be fetched too.
const MARGIN: Duration = Duration::from_millis(500);

/// How long fetches took lately. Nothing is assumed before the first one, which is therefore made.
#[derive(Debug, Default)]
pub(super) struct Speed {
    /// Seconds of small fetches.
    small: VecDeque<f64>,
    /// Bytes per second of large ones.
    rates: VecDeque<f64>,
}

impl Speed {
    /// Learns from a fetch: download and unpacking.
    pub(super) fn learn(&mut self, bytes: u64, took: Duration) {
        let seconds = took.as_secs_f64().max(0.000_001);
        let (list, value) = if bytes < LARGE {
            (&mut self.small, seconds)
        } else {
            (&mut self.rates, bytes as f64 / seconds)
        };
        list.push_back(value);
        if list.len() > REMEMBERED {
            list.pop_front();
        }
    }

    /// Returns how long it is expected to take to fetch so many bytes.
    fn expected(&self, bytes: u64) -> Duration {
        let start = median(&self.small).unwrap_or(0.0);
        let transfer = median(&self.rates).map_or(0.0, |rate| bytes as f64 / rate);
        Duration::try_from_secs_f64(start + transfer).unwrap_or(Duration::MAX)
    }

    /// Returns whether to fetch so many bytes rather than to run a step that took so long.
    pub(super) fn is_worth(&self, bytes: u64, step: Duration) -> bool {
        self.expected(bytes) <= step.saturating_add(MARGIN)
    }
}

fn median(values: &VecDeque<f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_result_of_a_short_step_is_not_fetched_over_a_slow_network() {
        let second = Duration::from_secs(1);
        let mut speed = Speed::default();
        // Nothing is known: the first fetch teaches it.
        assert!(speed.is_worth(1 << 30, second));
        speed.learn(10 << 20, 10 * second);
        assert!(!speed.is_worth(10 << 20, second));
        assert!(speed.is_worth(10 << 20, 20 * second));
        assert!(speed.is_worth(1 << 10, Duration::ZERO));
        // One fetch in three is slow; then all are fast.
        for _ in 0..REMEMBERED {
            speed.learn(100 << 20, second);
        }
        assert!(speed.is_worth(10 << 20, second));
        // Small ones take long, whatever they have.
        speed.learn(100, 3 * second);
        assert!(!speed.is_worth(100, second));
        assert!(speed.is_worth(100, 3 * second));
    }
}
