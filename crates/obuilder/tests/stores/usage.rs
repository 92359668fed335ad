//! What results take of a disk, which in most stores is not what their files seem to take.

use std::fs::{self, File};

use obuilder::store::{CacheName, Usage};
use obuilder_spec::User;

use super::ground::{Ground, Kind, id, step};

/// What a base has, and what a step adds.
const LARGE: usize = 8 << 20;
const SMALL: usize = 1 << 20;

pub(crate) async fn a_result_takes_what_it_added(ground: Ground) {
    let store = ground.open();
    let noise = |size: usize, seed: u8| -> Vec<u8> {
        let bytes = (0..size)
            .map(|n| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[6] ^ seed);
        bytes.collect()
    };
    step(&store, "base", None, |rootfs| {
        fs::write(rootfs.join("large"), noise(LARGE, 0)).unwrap();
    })
    .await;
    step(&store, "step", Some("base"), |rootfs| {
        fs::write(rootfs.join("small"), noise(SMALL, 1)).unwrap();
        // What is a hole takes nothing.
        File::create(rootfs.join("hole"))
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
    })
    .await;
    step(&store, "next", Some("step"), |_| ()).await;
    let ids = ["base", "step", "next", "nosuch"].map(id);
    let usages = store.usages(&ids).await.unwrap();
    let bytes = |position: usize| usages[position].unwrap().bytes as usize;
    let of_copies = if ground.kind == Kind::RsyncCopy {
        LARGE
    } else {
        0
    };
    let is_about =
        |bytes: usize, expected: usize| (expected..expected + SMALL / 2).contains(&bytes);
    assert!(is_about(bytes(0), LARGE), "{usages:?}");
    assert!(is_about(bytes(1), SMALL + of_copies), "{usages:?}");
    assert!(
        is_about(bytes(2), if of_copies > 0 { SMALL + LARGE } else { 0 }),
        "{usages:?}"
    );
    assert_eq!(usages[3], None);

    let cache = CacheName("c".into());
    assert_eq!(store.cache_usage(&cache).await.unwrap(), None);
    let copy = store.acquire_cache(&cache, &User::ROOT).await.unwrap();
    fs::write(copy.path.join("file"), noise(SMALL, 2)).unwrap();
    File::open(copy.path.join("file"))
        .unwrap()
        .sync_all()
        .unwrap();
    store.release_cache(copy).await.unwrap();
    let Usage { bytes, .. } = store.cache_usage(&cache).await.unwrap().unwrap().usage;
    assert!(is_about(bytes as usize, SMALL), "{bytes}");
}
