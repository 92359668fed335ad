//! Maintains a builder: prunes its store when the disk fills up, and checks its health regularly.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use obuilder::store::Space;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use visible::{BinarySize, Lines};

use crate::disk::FreeThreshold;
use crate::executor::Unfit;

/// How often to measure the free space, as upstream; also the wait when nothing more can be removed.
const ROOM_INTERVAL: Duration = Duration::from_secs(30);

/// How much should be free before the self-test, in percent.
const FIRST_ROOM: f64 = 5.0;

/// How many free bytes are enough for the self-test.
const TEST_ROOM: u64 = 64 << 20;

/// The longest interval between health checks while the builder is unhealthy, as upstream.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(60);

/// When to prune a store, and when to check a builder's health.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Upkeep {
    /// How much of the store's file system should be free. With less, results are removed until this is reached, if
    /// removing all of them would reach it.
    pub prune_threshold: FreeThreshold,
    /// How many bytes must be free if that cannot be reached. With less, the worker takes no jobs.
    pub min_free: u64,
    /// How many results to remove before measuring again.
    pub prune_limit: usize,
    /// How often to check that a trivial build succeeds. `None` for never, except at the start.
    pub healthcheck: Option<Duration>,
}

impl Default for Upkeep {
    /// Returns upstream's defaults, and a minimum that is enough for most steps.
    fn default() -> Self {
        Self {
            prune_threshold: FreeThreshold::THIRTY_PERCENT,
            min_free: 5 << 30,
            prune_limit: 100,
            healthcheck: Some(Duration::from_secs(600)),
        }
    }
}

/// Decides whether there is enough free space.
pub(super) type IsEnough<'a> = &'a dyn Fn(Space) -> bool;

/// A builder, as it is maintained.
pub(super) trait Maintained {
    /// Measures the free space.
    fn space(&self) -> Result<Space, String>;

    /// Returns the number of results.
    fn results(&self) -> Result<u64, String>;

    /// Removes the least recently used items, one by one and at most `limit`, until there is enough space.
    fn make_room<'a>(
        &'a self,
        limit: usize,
        is_enough: IsEnough<'a>,
    ) -> LocalBoxFuture<'a, Result<RoomResult, String>>;

    /// Checks that a trivial build succeeds.
    fn check(&self) -> LocalBoxFuture<'_, Result<(), String>>;
}

/// The result of making room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RoomResult {
    /// There is enough free space now.
    Enough,
    /// This many items were removed, and there may be more to remove.
    Removed(usize),
    /// Removing everything would not be enough, so nothing was removed.
    OutOfReach,
}

/// The condition of a builder.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Condition {
    /// The last measurement of the free space.
    pub(super) space: Option<Space>,
    /// Whether there is too little free space, and what is done about it.
    pub(super) shortage: Option<Shortage>,
    /// The error of the last health check, if it failed.
    pub(super) health_error: Option<String>,
    /// How long the last health check took.
    pub(super) check_time: Duration,
}

/// Too little free space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortage {
    /// The store is being pruned.
    MakingRoom,
    /// Removing everything would not reach the minimum.
    Full {
        /// How many bytes are free.
        free: u64,
        /// How many bytes must be free.
        minimum: u64,
    },
}

impl Condition {
    /// Returns why the worker takes no jobs.
    pub(super) fn unfit(&self) -> Option<Unfit> {
        // A full store also fails the health check, and has the more useful advice.
        match (&self.health_error, self.shortage) {
            (_, Some(Shortage::Full { free, minimum })) => Some(Unfit::StoreFull { free, minimum }),
            (Some(reason), _) => Some(Unfit::Unhealthy(reason.clone())),
            (None, Some(Shortage::MakingRoom)) => Some(Unfit::MakingRoom),
            (None, None) => None,
        }
    }

    pub(super) fn is_making_room(&self) -> bool {
        self.shortage == Some(Shortage::MakingRoom)
    }

    /// Returns how much was free at the last measurement, in percent.
    pub(super) fn free_percent(&self) -> f64 {
        self.space.map_or(0.0, Space::free_percent)
    }
}

/// Maintains `builder`, and publishes its condition. Never ends.
pub(super) async fn maintain(
    builder: &impl Maintained,
    upkeep: Upkeep,
    condition: &watch::Sender<Condition>,
) {
    tokio::join!(
        keep_room(builder, upkeep, condition),
        keep_healthy(builder, upkeep, condition),
    );
}

/// Frees space for the self-test at start. On a full disk it would fail, and the worker would end before it prunes.
/// More is freed while the worker runs.
pub(super) async fn make_first_room(builder: &impl Maintained, upkeep: Upkeep) {
    let good =
        |space: Space| space.free_percent() >= FIRST_ROOM || upkeep.prune_threshold.is_met(space);
    let bearable = |space: Space| space.free >= TEST_ROOM && space.free_files_percent() > 0.0;
    for is_enough in [&good as IsEnough<'_>, &bearable] {
        loop {
            match builder.make_room(upkeep.prune_limit, is_enough).await {
                Ok(RoomResult::Enough) => return,
                Ok(RoomResult::Removed(0) | RoomResult::OutOfReach) => break,
                Ok(RoomResult::Removed(removed)) => {
                    tracing::info!("Pruned {removed} items before the self-test");
                }
                Err(reason) => return tracing::warn!("Cannot prune: {}", Lines(&reason)),
            }
        }
    }
}

/// Returns whether `space` is so little that the self-test may fail because of it.
pub(super) fn is_short(space: Space, upkeep: Upkeep) -> bool {
    !upkeep.prune_threshold.is_met(space) && space.free < upkeep.min_free
}

async fn keep_room(
    builder: &impl Maintained,
    upkeep: Upkeep,
    condition: &watch::Sender<Condition>,
) {
    let mut room = RoomKeeper {
        builder,
        upkeep,
        condition,
        reported: None,
    };
    loop {
        room.keep().await;
        sleep(ROOM_INTERVAL).await;
    }
}

/// What has been logged about too little free space, so that it is logged once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reported {
    /// The threshold cannot be reached, but the minimum is free.
    Continuing,
    /// The minimum is not free either.
    Full,
}

/// Keeps enough space free.
struct RoomKeeper<'a, B> {
    builder: &'a B,
    upkeep: Upkeep,
    condition: &'a watch::Sender<Condition>,
    reported: Option<Reported>,
}

impl<B: Maintained> RoomKeeper<'_, B> {
    /// Prunes until there is enough free space, or nothing more to remove.
    async fn keep(&mut self) {
        let (threshold, minimum) = (self.upkeep.prune_threshold, self.upkeep.min_free);
        let mut removed = 0;
        loop {
            let Some(space) = self.measure() else {
                return;
            };
            if threshold.is_met(space) {
                if removed > 0 {
                    tracing::info!("Pruned {removed} items");
                }
                self.reported = None;
                return self.set_shortage(None);
            }
            // If it is known that pruning does not help, jobs need not wait for the attempt.
            if self.reported.is_none() {
                if !self.condition.borrow().is_making_room() {
                    self.log_low(space);
                }
                self.set_shortage(Some(Shortage::MakingRoom));
            }
            let enough = |space: Space| space.free >= minimum && space.free_percent() > 0.0;
            let made = match self.make_room(&|space| threshold.is_met(space)).await {
                Ok(RoomResult::Removed(0) | RoomResult::OutOfReach) if enough(space) => {
                    Ok(RoomResult::OutOfReach)
                }
                Ok(RoomResult::Removed(0) | RoomResult::OutOfReach) => {
                    self.make_room(&enough).await
                }
                other => other,
            };
            match made {
                Ok(RoomResult::Enough) => {}
                Ok(RoomResult::Removed(n @ 1..)) => removed += n,
                Ok(RoomResult::Removed(0) | RoomResult::OutOfReach) => {
                    return self.give_up(removed, enough(space));
                }
                Err(reason) => {
                    tracing::warn!("Cannot prune OBuilder's store: {}", Lines(&reason));
                    if !enough(space) {
                        self.set_shortage(Some(self.full(space)));
                    }
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    async fn make_room(&self, is_enough: IsEnough<'_>) -> Result<RoomResult, String> {
        let limit = self.upkeep.prune_limit.max(1);
        self.builder.make_room(limit, is_enough).await
    }

    /// Measures the free space. If that fails, builds continue, and fail on a full disk.
    fn measure(&self) -> Option<Space> {
        match self.builder.space() {
            Ok(space) => {
                self.condition
                    .send_modify(|known| known.space = Some(space));
                Some(space)
            }
            Err(reason) => {
                tracing::warn!(
                    "Cannot measure the free space of OBuilder's store: {}",
                    Lines(&reason)
                );
                self.set_shortage(None);
                None
            }
        }
    }

    /// Records that nothing more can be removed that would help.
    fn give_up(&mut self, removed: usize, is_enough: bool) {
        let Some(space) = self.condition.borrow().space else {
            return;
        };
        let Upkeep {
            prune_threshold,
            min_free,
            ..
        } = self.upkeep;
        let (free, minimum) = (BinarySize(space.free), BinarySize(min_free));
        let (reported, shortage) = match is_enough {
            true => (Reported::Continuing, None),
            false => (Reported::Full, Some(self.full(space))),
        };
        if self.reported.replace(reported) != Some(reported) {
            if removed > 0 {
                tracing::info!("Pruned {removed} items");
            }
            match reported {
                Reported::Continuing => tracing::warn!(
                    "OBuilder partition: {free} free; removing all of the store would not reach {prune_threshold} \
                     (--obuilder-prune-threshold). Continuing while {minimum} are free (--obuilder-min-free)"
                ),
                Reported::Full => tracing::warn!(
                    "OBuilder partition: {free} free; removing all of the store would not reach {minimum} \
                     (--obuilder-min-free)"
                ),
            }
        }
        self.set_shortage(shortage);
    }

    fn full(&self, space: Space) -> Shortage {
        Shortage::Full {
            free: space.free,
            minimum: self.upkeep.min_free,
        }
    }

    fn log_low(&self, space: Space) {
        let (free, wanted) = (space.free_percent(), self.upkeep.prune_threshold);
        let results = self.builder.results().unwrap_or_default();
        tracing::info!(
            "OBuilder partition: {free:.0}% free ({}) of {wanted} wanted, {results} items",
            BinarySize(space.free)
        );
    }

    fn set_shortage(&self, shortage: Option<Shortage>) {
        self.condition.send_if_modified(|condition| {
            std::mem::replace(&mut condition.shortage, shortage) != shortage
        });
    }
}

async fn keep_healthy(
    builder: &impl Maintained,
    upkeep: Upkeep,
    condition: &watch::Sender<Condition>,
) {
    let Some(interval) = upkeep.healthcheck else {
        return;
    };
    loop {
        let is_healthy = condition.borrow().health_error.is_none();
        let recovery = RECOVERY_INTERVAL.min(interval);
        sleep(if is_healthy { interval } else { recovery }).await;
        check(builder, condition).await;
    }
}

/// Checks `builder`'s health once.
pub(super) async fn check(builder: &impl Maintained, condition: &watch::Sender<Condition>) {
    let started = Instant::now();
    let health_error = builder.check().await.err();
    condition.send_if_modified(|condition| {
        condition.check_time = started.elapsed();
        let changed = condition.health_error != health_error;
        condition.health_error = health_error;
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
}
