//! Room that is made: no more than is wanted, and nothing where that would not do.

use jiff::{SignedDuration, Timestamp};
use obuilder::StepId;
use obuilder::builder::{Removed, RoomMade};
use obuilder::store::{CacheUsage, Space, Usage};

use super::house::{House, block_on, run, spec};

/// Makes room until `wanted` of 100 are free, and returns what that came to and what went for it.
async fn make_room(house: &House, wanted: u64, limit: usize) -> (RoomMade, Vec<String>) {
    let mut removed = Vec::new();
    let mut tell = |what: Removed<'_>| {
        removed.push(match what {
            Removed::Result(id) => id.to_string(),
            Removed::Cache(name) => name.0.to_string(),
        });
    };
    let future = house.now() + SignedDuration::from_secs(1);
    let is_enough = |space: Space| space.free >= wanted;
    let builder = &house.builder;
    let made = builder
        .make_room(future, limit, &is_enough, &mut tell)
        .await;
    (made.unwrap(), removed)
}

/// Builds a base and `count` results on it, a minute apart.
async fn build(house: &House, count: usize) -> Vec<StepId> {
    house.fetcher.brings("base");
    let mut ids = Vec::new();
    for number in 0..count {
        let name = number.to_string();
        house.sandbox.expect(&name).exit(0);
        ids.push(house.build(&spec("base", [run(&name)])).await.0.unwrap());
        house.pass(60);
    }
    ids
}

fn cache(minutes: i64, bytes: u64, now: Timestamp) -> CacheUsage {
    CacheUsage {
        used: now - SignedDuration::from_mins(minutes),
        usage: Usage { bytes, files: 1 },
    }
}

#[test]
fn no_more_is_removed_than_needed() {
    let house = House::open(tempfile::tempdir().unwrap());
    block_on(async {
        let ids = build(&house, 20).await;
        house.store.free.set(28);
        assert_eq!(make_room(&house, 28, 100).await, (RoomMade::Enough, vec![]));
        // Those that nobody has used for long, and as many as it takes.
        let (made, removed) = make_room(&house, 31, 100).await;
        assert_eq!(made, RoomMade::Enough);
        assert_eq!(
            removed,
            ids[..3].iter().map(StepId::to_string).collect::<Vec<_>>()
        );
        assert_eq!(house.store.free.get(), 31);
        // Somebody else wrote meanwhile, and we are to look again soon.
        house.store.free.set(25);
        let (made, removed) = make_room(&house, 31, 2).await;
        assert_eq!((made, removed.len()), (RoomMade::Freed(2), 2));
    });
}

#[test]
fn results_that_cannot_make_enough_room_are_kept() {
    let house = House::open(tempfile::tempdir().unwrap());
    block_on(async {
        build(&house, 5).await;
        let now = house.now();
        house
            .store
            .kept_caches
            .borrow_mut()
            .push(("c", cache(9, 3, now)));
        house.store.free.set(7);
        let (made, removed) = make_room(&house, 25, 100).await;
        // Five results, their base, and the cache.
        let Usage { bytes, .. } = match made {
            RoomMade::OutOfReach { reclaimable } => reclaimable,
            made => panic!("{made:?}"),
        };
        assert_eq!((bytes, removed.len()), (9, 0));
        assert_eq!(house.store.len(), 6);
    });
}

#[test]
fn caches_go_last_and_one_at_a_time() {
    let house = House::open(tempfile::tempdir().unwrap());
    block_on(async {
        build(&house, 2).await;
        let now = house.now();
        let caches = [
            ("new", cache(1, 20, now)),
            ("old and small", cache(90, 1, now)),
            ("old and large", cache(60, 5, now)),
        ];
        house.store.kept_caches.borrow_mut().extend(caches);
        house.store.free.set(10);
        let (made, removed) = make_room(&house, 15, 100).await;
        assert_eq!(made, RoomMade::Enough);
        // Two results and their base are not enough.
        assert_eq!((removed.len(), &*removed[3]), (4, "old and large"));
        assert_eq!(house.store.kept_caches.borrow().len(), 2);
    });
}

#[test]
fn results_that_a_build_needs_are_neither_counted_nor_removed() {
    let house = House::open(tempfile::tempdir().unwrap());
    block_on(async {
        build(&house, 3).await;
        let going_on = house.sandbox.expect("long");
        let build = house.start(&spec("base", [run("0"), run("long")]));
        going_on.started().await;
        house.store.free.set(10);
        let (made, _) = make_room(&house, 13, 100).await;
        assert!(
            matches!(made, RoomMade::OutOfReach { reclaimable } if reclaimable.bytes == 2),
            "{made:?}"
        );
        let (made, removed) = make_room(&house, 12, 100).await;
        assert_eq!((made, removed.len()), (RoomMade::Enough, 2));
        going_on.exit(0);
        build.end().await.unwrap();
    });
}
