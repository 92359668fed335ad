//! How long the one thread delays all tasks.

use std::cell::RefCell;
use std::time::Duration;

use prometheus_text::Histogram;
use tokio::time::{Instant, MissedTickBehavior};

/// How often it is measured. Ten wake-ups a second have no measurable cost.
const PERIOD: Duration = Duration::from_millis(100);

/// From the usual delay to one after which peers give up on the scheduler.
const SECONDS: &[f64] = &[0.002, 0.01, 0.05, 0.2, 1.0, 5.0, 30.0];

/// Measures how much later than requested the event loop wakes a task.
pub(crate) struct Stalls(RefCell<Histogram>);

impl Stalls {
    pub(crate) fn new() -> Self {
        Self(RefCell::new(Histogram::new(SECONDS)))
    }

    /// Measures for as long as it is awaited. Never ends.
    pub(crate) async fn watch(&self) {
        let mut ticks = tokio::time::interval(PERIOD);
        // Else a single long stall would be counted once for each tick that it swallowed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = ticks.tick().await;
            let late = Instant::now().saturating_duration_since(due);
            self.0.borrow_mut().add(late.as_secs_f64());
        }
    }

    pub(crate) fn read(&self) -> Histogram {
        self.0.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{PERIOD, Stalls};

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_counted_once_however_long_it_is() {
        let stalls = Stalls::new();
        let steps = async {
            // The first look is at once, and the second when it should be.
            tokio::time::sleep(PERIOD + PERIOD / 2).await;
            assert_eq!(stalls.read().count, 2);
            tokio::time::advance(Duration::from_secs(3)).await;
            // So that it is looked.
            tokio::time::sleep(PERIOD / 2).await;
        };
        tokio::select! {
            () = stalls.watch() => {}
            () = steps => {}
        }
        let histogram = stalls.read();
        let at_most = |seconds| {
            let mut buckets = histogram.cumulative();
            buckets
                .find(|(bound, _)| *bound == seconds)
                .map(|(_, count)| count)
        };
        assert_eq!((at_most(1.0), at_most(5.0)), (Some(2), Some(3)));
    }
}
