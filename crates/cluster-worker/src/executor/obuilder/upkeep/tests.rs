//! Maintenance of a mock store, in simulated time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use futures::future::FutureExt as _;

use super::*;
use crate::executor::Unfit;

/// A store whose results take one percent each.
struct Store {
    free: Cell<f64>,
    results: Cell<u64>,
    checks: RefCell<VecDeque<Result<(), String>>>,
}

impl Store {
    fn new(free: f64, results: u64) -> Self {
        Self {
            free: Cell::new(free),
            results: Cell::new(results),
            checks: RefCell::default(),
        }
    }
}

impl Maintained for Store {
    fn space(&self) -> Result<Space, String> {
        Ok(of_percent(self.free.get()))
    }

    fn results(&self) -> Result<u64, String> {
        Ok(self.results.get())
    }

    fn make_room<'a>(
        &'a self,
        limit: usize,
        is_enough: IsEnough<'a>,
    ) -> LocalBoxFuture<'a, Result<RoomResult, String>> {
        async move {
            tokio::task::yield_now().await;
            if is_enough(of_percent(self.free.get() + self.results.get() as f64)) {
                for removed in 0..limit {
                    if is_enough(of_percent(self.free.get())) {
                        return Ok(RoomResult::Enough);
                    }
                    if self.results.get() == 0 {
                        return Ok(RoomResult::Removed(removed));
                    }
                    self.results.set(self.results.get() - 1);
                    self.free.set(self.free.get() + 1.0);
                }
                Ok(RoomResult::Removed(limit))
            } else {
                Ok(RoomResult::OutOfReach)
            }
        }
        .boxed_local()
    }

    fn check(&self) -> LocalBoxFuture<'_, Result<(), String>> {
        let next = self.checks.borrow_mut().pop_front().unwrap_or(Ok(()));
        async move { next }.boxed_local()
    }
}

/// Returns a disk of 100 GiB of which this percentage is free.
fn of_percent(free: f64) -> Space {
    Space {
        total: 100 << 30,
        free: (free as u64) << 30,
        total_files: 0,
        free_files: 0,
    }
}

/// Maintains `store` while `story` runs. The time is simulated: it passes when both wait.
fn while_maintained<T>(
    store: &Store,
    upkeep: Upkeep,
    story: impl AsyncFnOnce(watch::Receiver<Condition>) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let condition = watch::Sender::default();
    let watched = condition.subscribe();
    runtime.block_on(async {
        let story = tokio::time::timeout(Duration::from_secs(86_400), story(watched));
        tokio::select! {
            // First, so that it sees each condition, however short it lasts.
            biased;
            done = story => done.expect("the story ends within a day"),
            () = maintain(store, upkeep, &condition) => panic!("maintenance has ended"),
        }
    })
}

const UPKEEP: Upkeep = Upkeep {
    prune_threshold: FreeThreshold::THIRTY_PERCENT,
    min_free: 5 << 30,
    prune_limit: 4,
    healthcheck: Some(Duration::from_secs(600)),
};

#[test]
fn results_are_removed_in_batches_and_no_more_than_needed() {
    let store = Store::new(25.0, 100);
    while_maintained(&store, UPKEEP, async |mut condition| {
        condition.wait_for(Condition::is_making_room).await.unwrap();
        condition.wait_for(|c| c.shortage.is_none()).await.unwrap();
    });
    assert_eq!((store.free.get(), store.results.get()), (30.0, 95));
}

#[test]
fn space_is_freed_before_the_self_test() {
    let started_with = |free, results| {
        let store = Store::new(free, results);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(make_first_room(&store, UPKEEP));
        (store.free.get(), store.results.get())
    };
    assert_eq!(started_with(0.0, 100), (5.0, 95));
    // Less than there should be, but enough for the self-test.
    assert_eq!(started_with(0.0, 2), (1.0, 1));
    assert_eq!(started_with(10.0, 100), (10.0, 100));
    assert_eq!(started_with(4.0, 0), (4.0, 0));
}

#[test]
fn a_threshold_out_of_reach_removes_nothing_while_the_minimum_is_free() {
    let store = Store::new(20.0, 5);
    while_maintained(&store, UPKEEP, async |mut condition| {
        condition.wait_for(Condition::is_making_room).await.unwrap();
        condition.wait_for(|c| c.shortage.is_none()).await.unwrap();
        // Pruning is not reported while it is known that it does not help.
        let making = condition.wait_for(Condition::is_making_room);
        let waited = tokio::time::timeout(Duration::from_secs(3600), making).await;
        assert!(waited.is_err());
        drop(waited);
        assert_eq!((store.free.get(), store.results.get()), (20.0, 5));
        // The threshold comes into reach.
        store.free.set(26.0);
        condition
            .wait_for(|c| c.free_percent() >= 30.0)
            .await
            .unwrap();
    });
    assert_eq!((store.free.get(), store.results.get()), (30.0, 1));
}

#[test]
fn a_store_below_the_minimum_is_pruned_to_the_minimum() {
    let store = Store::new(2.0, 5);
    while_maintained(&store, UPKEEP, async |mut condition| {
        let done = |c: &Condition| c.space.is_some() && c.shortage.is_none();
        condition.wait_for(done).await.unwrap();
    });
    assert_eq!((store.free.get(), store.results.get()), (5.0, 2));
}

#[test]
fn a_full_store_with_nothing_to_remove_is_unfit_until_space_is_freed() {
    let store = Store::new(4.0, 0);
    while_maintained(&store, UPKEEP, async |mut condition| {
        let is_full = |c: &Condition| matches!(c.unfit(), Some(Unfit::StoreFull { .. }));
        condition.wait_for(is_full).await.unwrap();
        sleep(Duration::from_secs(3600)).await;
        assert!(is_full(&condition.borrow()));
        store.free.set(6.0);
        let changed = condition.wait_for(|c| c.unfit().is_none()).await;
        assert_eq!(changed.unwrap().free_percent(), 6.0);
    });
}

#[test]
fn an_unhealthy_builder_is_checked_more_often() {
    let store = Store::new(90.0, 0);
    let failed = || Err("no runtime".to_owned());
    store
        .checks
        .borrow_mut()
        .extend([Ok(()), failed(), failed()]);
    while_maintained(&store, UPKEEP, async |mut condition| {
        let started = Instant::now();
        let unfit = condition.wait_for(|c| c.health_error.is_some()).await;
        let unfit = unfit.unwrap().unfit();
        assert_eq!(unfit, Some(Unfit::Unhealthy("no runtime".into())));
        assert_eq!(started.elapsed().as_secs(), 1200);
        let fit = condition.wait_for(|c| c.health_error.is_none()).await;
        assert_eq!(fit.unwrap().unfit(), None);
        assert_eq!(started.elapsed().as_secs(), 1320);
    });
}

#[test]
fn health_checks_can_be_disabled() {
    let store = Store::new(90.0, 0);
    store
        .checks
        .borrow_mut()
        .push_back(Err("no runtime".into()));
    let never = Upkeep {
        healthcheck: None,
        ..UPKEEP
    };
    while_maintained(&store, never, async |condition| {
        sleep(Duration::from_secs(36_000)).await;
        assert_eq!(condition.borrow().unfit(), None);
    });
}
