//! Keeps a builder able to build: makes room on its disk, and checks from time to time that it is healthy.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::disk::Percent;
use crate::executor::Unfit;
use crate::process::printable;

/// How often to look how much room there is, as upstream; and how long to wait when nothing more can be removed.
const ROOM_INTERVAL: Duration = Duration::from_secs(30);

/// How much must be free for the self-test, in percent.
const FIRST_ROOM: f64 = 5.0;

/// How long to wait at most before checking again what was not healthy, as upstream.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(60);

/// When to do what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Upkeep {
    /// How much of the store's filesystem must be free: with less, results are removed until there is more again.
    pub prune_threshold: Percent,
    /// How many results to remove before looking again.
    pub prune_limit: usize,
    /// How often to check that a trivial build succeeds. `None` for never, except at the start.
    pub healthcheck: Option<Duration>,
}

impl Default for Upkeep {
    /// Returns upstream's defaults.
    fn default() -> Self {
        Self {
            prune_threshold: Percent::THIRTY,
            prune_limit: 100,
            healthcheck: Some(Duration::from_secs(600)),
        }
    }
}

/// What is kept up.
pub(super) trait Upkept {
    /// Returns how much room is free, in percent of bytes or of files, whichever is less, and how many results there are.
    fn room(&self) -> Result<Room, String>;

    /// Removes the least recently used results, at most `limit`, and where there are none the cache mounts. Returns how many
    /// there were.
    fn prune(&self, limit: usize) -> LocalBoxFuture<'_, Result<usize, String>>;

    /// Checks that a trivial build succeeds.
    fn check(&self) -> LocalBoxFuture<'_, Result<(), String>>;
}

/// How much room a store has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Room {
    pub(super) free_percent: f64,
    pub(super) results: u64,
}

/// What is known of a builder's condition.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Condition {
    /// How much room was free when last looked, in percent.
    pub(super) free_percent: f64,
    /// Whether room is being made.
    pub(super) making_room: bool,
    /// What the last health check said, if it failed.
    pub(super) sick: Option<String>,
    /// How long it took.
    pub(super) check_time: Duration,
}

impl Condition {
    /// Returns what it says against taking jobs.
    pub(super) fn unfit(&self) -> Option<Unfit> {
        match &self.sick {
            Some(reason) => Some(Unfit::Unhealthy(reason.clone())),
            None => self.making_room.then_some(Unfit::MakingRoom),
        }
    }
}

/// Keeps `builder` up for ever, saying in `condition` how it is.
pub(super) async fn keep_up(
    builder: &impl Upkept,
    upkeep: Upkeep,
    condition: &watch::Sender<Condition>,
) {
    tokio::join!(
        keep_room(builder, upkeep, condition),
        keep_healthy(builder, upkeep, condition),
    );
}

/// Makes room for the check with which a worker starts: on a disk without any it would fail, and nobody would be there to make
/// some. The rest is made while the worker works.
pub(super) async fn make_first_room(builder: &impl Upkept, upkeep: Upkeep) {
    loop {
        match builder.room() {
            Ok(room) if room.free_percent < FIRST_ROOM.min(upkeep.prune_threshold.value()) => {
                let free = room.free_percent;
                tracing::info!("OBuilder partition: {free:.0}% free; pruning before the self-test");
            }
            Ok(_) => return,
            Err(reason) => {
                return tracing::warn!("Cannot check the store's space: {}", printable(&reason));
            }
        }
        match builder.prune(upkeep.prune_limit).await {
            Ok(0) => return,
            Ok(pruned) => tracing::info!("Pruned {pruned} items"),
            Err(reason) => return tracing::warn!("Cannot prune: {}", printable(&reason)),
        }
    }
}

async fn keep_room(builder: &impl Upkept, upkeep: Upkeep, condition: &watch::Sender<Condition>) {
    loop {
        while is_low(builder, upkeep, condition) {
            match builder.prune(upkeep.prune_limit).await {
                Ok(0) => {
                    tracing::warn!(
                        "nothing more can be removed from OBuilder's store; make room on its disk, or lower --obuilder-prune-threshold"
                    );
                    sleep(ROOM_INTERVAL).await;
                }
                Ok(pruned) => tracing::info!("Pruned {pruned} items"),
                Err(reason) => {
                    tracing::warn!("cannot prune: {}", printable(&reason));
                    sleep(ROOM_INTERVAL).await;
                }
            }
        }
        sleep(ROOM_INTERVAL).await;
    }
}

/// Looks how much room there is, and returns whether that is too little. If it can't be told, builds will tell.
fn is_low(builder: &impl Upkept, upkeep: Upkeep, condition: &watch::Sender<Condition>) -> bool {
    let (free, low) = match builder.room() {
        Ok(Room {
            free_percent,
            results,
        }) => {
            let low = free_percent <= upkeep.prune_threshold.value();
            if low {
                let wanted = upkeep.prune_threshold;
                tracing::info!(
                    "OBuilder partition: {free_percent:.0}% free of {wanted}% wanted, {results} items"
                );
            }
            (Some(free_percent), low)
        }
        Err(reason) => {
            tracing::warn!("cannot check the store's space: {}", printable(&reason));
            (None, false)
        }
    };
    condition.send_if_modified(|condition| {
        condition.free_percent = free.unwrap_or(condition.free_percent);
        std::mem::replace(&mut condition.making_room, low) != low
    });
    low
}

async fn keep_healthy(builder: &impl Upkept, upkeep: Upkeep, condition: &watch::Sender<Condition>) {
    let Some(interval) = upkeep.healthcheck else {
        return;
    };
    loop {
        let sick = condition.borrow().sick.is_some();
        let recovery = RECOVERY_INTERVAL.min(interval);
        sleep(if sick { recovery } else { interval }).await;
        check(builder, condition).await;
    }
}

/// Checks `builder`'s health once.
pub(super) async fn check(builder: &impl Upkept, condition: &watch::Sender<Condition>) {
    let started = Instant::now();
    let sick = builder.check().await.err();
    condition.send_if_modified(|condition| {
        condition.check_time = started.elapsed();
        let changed = condition.sick != sick;
        condition.sick = sick;
        changed
    });
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;

    use futures::future::FutureExt as _;

    use super::*;

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

    impl Upkept for Store {
        fn room(&self) -> Result<Room, String> {
            Ok(Room {
                free_percent: self.free.get(),
                results: self.results.get(),
            })
        }

        fn prune(&self, limit: usize) -> LocalBoxFuture<'_, Result<usize, String>> {
            let pruned = self.results.get().min(limit as u64);
            self.results.set(self.results.get() - pruned);
            self.free.set(self.free.get() + pruned as f64);
            async move {
                tokio::task::yield_now().await;
                Ok(pruned as usize)
            }
            .boxed_local()
        }

        fn check(&self) -> LocalBoxFuture<'_, Result<(), String>> {
            let next = self.checks.borrow_mut().pop_front().unwrap_or(Ok(()));
            async move { next }.boxed_local()
        }
    }

    /// Runs the upkeep of `store` while `story` goes on, in a time that passes when all wait.
    fn while_kept_up<T>(
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
            tokio::select! {
                () = keep_up(store, upkeep, &condition) => panic!("upkeep has ended"),
                done = story(watched) => done,
            }
        })
    }

    const UPKEEP: Upkeep = Upkeep {
        prune_threshold: Percent::THIRTY,
        prune_limit: 4,
        healthcheck: Some(Duration::from_secs(600)),
    };

    #[test]
    fn room_is_made_a_few_results_at_a_time_and_no_more_than_needed() {
        let store = Store::new(25.0, 100);
        while_kept_up(&store, UPKEEP, async |mut condition| {
            condition.wait_for(|c| c.making_room).await.unwrap();
            condition.wait_for(|c| !c.making_room).await.unwrap();
        });
        assert_eq!((store.free.get(), store.results.get()), (33.0, 92));
    }

    #[test]
    fn before_the_first_check_there_is_room_for_it() {
        let started_with = |free, results| {
            let store = Store::new(free, results);
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(make_first_room(&store, UPKEEP));
            (store.free.get(), store.results.get())
        };
        assert_eq!(started_with(0.0, 100), (8.0, 92));
        assert_eq!(started_with(10.0, 100), (10.0, 100));
        assert_eq!(started_with(0.0, 2), (2.0, 0));
    }

    #[test]
    fn a_store_with_nothing_to_remove_stays_low_until_somebody_else_makes_room() {
        let store = Store::new(20.0, 0);
        while_kept_up(&store, UPKEEP, async |mut condition| {
            condition.wait_for(|c| c.making_room).await.unwrap();
            sleep(Duration::from_secs(3600)).await;
            assert!(condition.borrow().making_room);
            store.free.set(50.0);
            let changed = condition.wait_for(|c| !c.making_room).await;
            assert_eq!(changed.unwrap().free_percent, 50.0);
        });
    }

    #[test]
    fn what_is_sick_is_looked_at_more_often() {
        let store = Store::new(90.0, 0);
        let sick = || Err("no runtime".to_owned());
        store.checks.borrow_mut().extend([Ok(()), sick(), sick()]);
        while_kept_up(&store, UPKEEP, async |mut condition| {
            let started = Instant::now();
            let unfit = condition.wait_for(|c| c.sick.is_some()).await;
            let unfit = unfit.unwrap().unfit();
            assert_eq!(unfit, Some(Unfit::Unhealthy("no runtime".into())));
            assert_eq!(started.elapsed().as_secs(), 1200);
            let fit = condition.wait_for(|c| c.sick.is_none()).await;
            assert_eq!(fit.unwrap().unfit(), None);
            assert_eq!(started.elapsed().as_secs(), 1320);
        });
    }

    #[test]
    fn health_is_checked_only_where_that_is_wanted() {
        let store = Store::new(90.0, 0);
        store.checks.borrow_mut().push_back(Err("sick".into()));
        let never = Upkeep {
            healthcheck: None,
            ..UPKEEP
        };
        while_kept_up(&store, never, async |condition| {
            sleep(Duration::from_secs(36_000)).await;
            assert_eq!(condition.borrow().unfit(), None);
        });
    }
}
