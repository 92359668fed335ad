//! Guests: processes that read a store beside its owner.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use obuilder::store::{CacheName, Store, StoreError, open_for_reading};
use obuilder_spec::User;

use crate::ground::{Ground, assert_tidy, begin, id, mounts_below, spec, step};
use crate::results::shown;

fn guests(ground: &Ground) -> usize {
    fs::read_dir(ground.root.join("guests")).unwrap().count()
}

/// Checks that a guest sees the results "base" and "step", and the caches, as the owner does.
async fn check_same(guest: &Rc<dyn Store>, owner: &Rc<dyn Store>) {
    let mut results: Vec<_> = guest
        .results()
        .unwrap()
        .iter()
        .map(|result| result.id)
        .collect();
    results.sort();
    let mut expected = [id("base"), id("step")];
    expected.sort();
    assert_eq!(results, expected);
    assert_eq!(shown(guest, "step").await, shown(owner, "step").await);
    assert_eq!(guest.caches().unwrap(), owner.caches().unwrap());
    assert!(guest.usages(&expected).await.unwrap()[0].is_some());
}

/// Checks that the owner cannot delete the result "next" while a guest has a view of it.
async fn check_view_keeps_its_result(guest: &Rc<dyn Store>, owner: &Rc<dyn Store>) {
    let view = guest.view(&id("next")).await.unwrap();
    let refused = owner.delete(&id("next")).await;
    assert!(
        matches!(refused, Err(StoreError::BeingRead(_))),
        "{refused:?}"
    );
    drop(view);
    owner.delete(&id("next")).await.unwrap();
    let gone = guest.view(&id("next")).await;
    assert!(matches!(gone, Err(StoreError::NoBase(_))), "{gone:?}");
}

pub(crate) async fn a_store_can_be_read_while_another_process_owns_it(ground: Ground) {
    let nothing = open_for_reading(&spec(ground.kind, &ground.root));
    assert!(nothing.unwrap().is_none(), "there is no store yet");
    let owner = ground.open();
    let write =
        |name: &'static str| move |rootfs: &Path| fs::write(rootfs.join(name), name).unwrap();
    step(&owner, "base", None, write("base")).await;
    step(&owner, "step", Some("base"), write("step")).await;
    let going_on = begin(&owner, "next", Some("step")).await;
    let cache = CacheName("c".into());
    let copy = owner.acquire_cache(&cache, &User::ROOT).await.unwrap();
    owner.release_cache(copy).await.unwrap();

    let guest = ground.read();
    check_same(&guest, &owner).await;

    // A guest can write to a copy, which is not kept.
    let draft = guest.begin(&id("tried"), Some(&id("step"))).await.unwrap();
    fs::write(draft.rootfs.join("step"), "changed").unwrap();
    // A result that is being read cannot be removed, nor its bases.
    for read in ["step", "base"] {
        let refused = owner.delete(&id(read)).await;
        assert!(
            matches!(refused, Err(StoreError::BeingRead(_))),
            "{refused:?}"
        );
    }
    let kept = guest.publish(draft).await;
    assert!(matches!(kept, Err(StoreError::OnlyRead(_))), "{kept:?}");
    let draft = guest.begin(&id("again"), Some(&id("step"))).await.unwrap();
    guest.discard(draft).await.unwrap();
    let refused = guest.delete(&id("step")).await;
    assert!(
        matches!(refused, Err(StoreError::OnlyRead(_))),
        "{refused:?}"
    );
    drop(guest);
    assert_eq!(guests(&ground), 0);

    // The owner was not disturbed.
    write("next")(&going_on.rootfs);
    owner.publish(going_on).await.unwrap();
    let view = owner.view(&id("next")).await.unwrap();
    assert_eq!(
        fs::read_to_string(view.rootfs().join("step")).unwrap(),
        "step"
    );
    drop(view);

    let guest = ground.read();
    check_view_keeps_its_result(&guest, &owner).await;
    drop((guest, owner));
    assert_tidy(&ground);
    assert_eq!(mounts_below(&ground.root), 0);
}

pub(crate) async fn files_of_a_killed_guest_are_removed(ground: Ground) {
    let owner = ground.open();
    step(&owner, "base", None, |_| ()).await;
    step(&owner, "step", Some("base"), |_| ()).await;
    let alive = ground.read();
    let dead = ground.read();
    for (reader, name) in [(&alive, "1"), (&dead, "2")] {
        drop(reader.begin(&id(name), Some(&id("step"))).await.unwrap());
    }
    // The kernel releases the locks of a killed process. Its files remain.
    let lock = dead.state_dir().with_file_name("lock");
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "").unwrap();
    drop(owner);
    let owner = ground.open();
    assert_eq!(guests(&ground), 1);
    assert!(alive.result(&id("step")).unwrap().is_some());
    drop((dead, alive));
    drop(owner);
    drop(ground.open());
    assert_eq!(guests(&ground), 0);
    assert_eq!(mounts_below(&ground.root), 0);
}
