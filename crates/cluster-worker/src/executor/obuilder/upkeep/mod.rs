//! Maintains a builder: prunes its store when the disk fills up, and checks its health regularly.

mod condition;
mod room_keeper;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::future::LocalBoxFuture;
use obuilder::store::Space;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use visible::Lines;

use crate::disk::FreeThreshold;

pub(super) use condition::Condition;
use room_keeper::keep_room;

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

    /// Removes results, and then cache mounts, one by one and at most `limit`, until there is enough space: first those
    /// that were not used for long and are quickly made again.
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
