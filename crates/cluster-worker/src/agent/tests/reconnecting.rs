//! When a worker connects again, in virtual time.

use std::cell::{Cell, RefCell};

use tokio::time::Instant;
use vat::{Backoff, Failure};

use super::*;
use crate::testing::local_with_paused_time;
use crate::uplink::{Connection, NoConnection};

/// An uplink that may be down. It records when it was used.
#[derive(Default)]
struct Recorded {
    scheduler: Rc<MockScheduler>,
    /// How many attempts to connect fail from now on, and how.
    failures: Cell<u32>,
    is_refusal: Cell<bool>,
    attempts: RefCell<Vec<Instant>>,
}

impl Uplink for Rc<Recorded> {
    fn connect(&self) -> LocalBoxFuture<'_, Result<Connection, NoConnection>> {
        self.attempts.borrow_mut().push(Instant::now());
        let left = self.failures.get();
        self.failures.set(left.saturating_sub(1));
        async move {
            if left > 0 {
                return Err(NoConnection {
                    failure: match self.is_refusal.get() {
                        true => Failure::Refused,
                        false => Failure::NotConnected,
                    },
                    reason: "down".to_owned(),
                });
            }
            Direct(Rc::clone(&self.scheduler)).connect().await
        }
        .boxed_local()
    }
}

impl Recorded {
    /// Returns how long the worker waited before each attempt since the first `skipped`.
    fn waits(&self, skipped: usize) -> Vec<Duration> {
        let attempts = self.attempts.borrow();
        let pairs = attempts.windows(2).skip(skipped);
        pairs.map(|pair| pair[1] - pair[0]).collect()
    }

    /// Waits until so many attempts were made.
    async fn attempts(&self, number: usize) {
        while self.attempts.borrow().len() < number {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn connected(uplink: &Rc<Recorded>) -> Cluster {
    let options = AgentOptions {
        reconnect_interval: Backoff::LONGEST,
        ..fast()
    };
    let scheduler = Rc::clone(&uplink.scheduler);
    Cluster::with_options(|_| {}, options, scheduler, Rc::clone(uplink))
}

#[test]
fn a_worker_that_loses_its_connection_tries_again_soon() {
    local_with_paused_time(async {
        let uplink = Rc::<Recorded>::default();
        let cluster = connected(&uplink);
        cluster.scheduler.until_popping().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        uplink.failures.set(7);
        let lost = Instant::now();
        cluster.scheduler.disconnect();
        uplink.attempts(2).await;
        assert!(uplink.attempts.borrow()[1] - lost < Duration::from_secs(1));
        uplink.attempts(9).await;
        let waits = uplink.waits(1);
        // Another scheduler may be about to lead.
        let longest = Duration::from_secs(1);
        let is_short = |wait: &Duration| (longest / 2..=longest).contains(wait);
        assert!(waits.iter().all(is_short), "{waits:?}");
        // It is connected again, and the next wait is short.
        cluster.scheduler.until_popping().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let lost = Instant::now();
        cluster.scheduler.disconnect();
        uplink.attempts(10).await;
        assert!(uplink.attempts.borrow()[9] - lost < Duration::from_secs(1));
        cluster.scheduler.until_popping().await;
        cluster.finish().await;
    });
}

#[test]
fn a_worker_whose_cap_file_is_refused_does_not_hurry() {
    local_with_paused_time(async {
        let uplink = Rc::<Recorded>::default();
        uplink.failures.set(3);
        uplink.is_refusal.set(true);
        let cluster = connected(&uplink);
        uplink.attempts(4).await;
        assert_eq!(uplink.waits(0), [Backoff::LONGEST; 3]);
        cluster.scheduler.until_popping().await;
        cluster.finish().await;
    });
}

#[test]
fn a_worker_whose_registration_is_refused_does_not_hurry() {
    local_with_paused_time(async {
        let uplink = Rc::<Recorded>::default();
        uplink.scheduler.refusals.set(3);
        let cluster = connected(&uplink);
        uplink.attempts(4).await;
        assert_eq!(uplink.waits(0), [Backoff::LONGEST; 3]);
        cluster.scheduler.until_popping().await;
        cluster.finish().await;
    });
}
