//! Prunes a builder's store until enough space is free.

use std::time::Duration;

use obuilder::store::Space;
use tokio::sync::watch;
use tokio::time::sleep;
use visible::{BinarySize, Lines};

use super::condition::{Condition, Shortage};
use super::{IsEnough, Maintained, RoomResult, Upkeep};

/// How often to measure the free space, as upstream; also the wait when nothing more can be removed.
const ROOM_INTERVAL: Duration = Duration::from_secs(30);

/// Keeps enough space free, and publishes whether there is. Never ends.
pub(super) async fn keep_room(
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
