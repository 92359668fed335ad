//! How long answers for pages keep the thread of the capabilities from other work.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use prometheus_text::Histogram;
use tokio::time::Instant;

/// From what most answers take to what submitters would notice. None should be beyond ten milliseconds.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0,
];

/// How long answers for pages kept the thread from other work, each time without a break.
#[derive(Clone)]
pub(crate) struct Delays(Rc<RefCell<Histogram>>);

impl Delays {
    pub(crate) fn new() -> Self {
        Self(Rc::new(RefCell::new(Histogram::new(SECONDS))))
    }

    /// Does some work, and measures how long it keeps the thread, whenever it is its turn.
    pub(super) async fn measure<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            let begun = Instant::now();
            let polled = work.as_mut().poll(context);
            self.0.borrow_mut().add(begun.elapsed().as_secs_f64());
            polled
        })
        .await
    }

    pub(crate) fn read(&self) -> Histogram {
        self.0.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Delays;

    #[tokio::test(start_paused = true)]
    async fn waiting_is_no_delay_but_working_is() {
        let delays = Delays::new();
        let work = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            // As if this had taken so long.
            tokio::time::advance(Duration::from_millis(15)).await;
        };
        delays.clone().measure(work).await;
        let histogram = delays.read();
        assert!(histogram.count >= 2, "{histogram:?}");
        assert!(histogram.sum < 1.0, "{histogram:?}");
    }
}
