//! How long the one thread keeps everybody waiting.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::history::Histogram;

/// How often it is looked. Ten wake-ups a second cost nothing that could be measured.
const PERIOD: Duration = Duration::from_millis(100);

/// From what is usual to what makes peers believe that we have gone.
const SECONDS: &[f64] = &[0.002, 0.01, 0.05, 0.2, 1.0, 5.0, 30.0];

/// Measures how much later than asked for the event loop wakes a task.
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
