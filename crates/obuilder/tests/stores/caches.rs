//! Directories that outlive a step.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;

use obuilder::store::{CacheCopy, CacheName, Store};
use obuilder_spec::User;

use crate::ground::{Ground, assert_tidy, mounts_below};
use crate::listing::listing;
use crate::results::zoo;

const OWNER: User = User::Unix { uid: 123, gid: 456 };

fn name(text: &str) -> CacheName {
    CacheName(text.into())
}

pub(crate) async fn take(store: &Rc<dyn Store>, cache: &str) -> CacheCopy {
    store.acquire_cache(&name(cache), &OWNER).await.unwrap()
}

fn read(copy: &CacheCopy) -> String {
    fs::read_to_string(copy.path.join("data")).unwrap_or_default()
}

fn write(copy: &CacheCopy, text: &str) {
    fs::write(copy.path.join("data"), text).unwrap();
}

async fn give(store: &Rc<dyn Store>, copy: CacheCopy) {
    store.release_cache(copy).await.unwrap();
}

pub(crate) async fn a_cache_is_shared_one_copy_at_a_time(ground: Ground) {
    let store = ground.open();
    assert_eq!(store.caches().unwrap(), []);

    // A new one is empty, and its user's.
    let copy = take(&store, "c").await;
    assert!(fs::read_dir(&copy.path).unwrap().next().is_none());
    let top = fs::metadata(&copy.path).unwrap();
    assert_eq!(
        (top.uid(), top.gid(), top.mode() & 0o7777),
        (123, 456, 0o755)
    );
    write(&copy, "v1");
    give(&store, copy).await;

    // The next step sees the files, whatever its user. Its user owns only the top directory.
    let other = User::Unix { uid: 7, gid: 8 };
    let copy = store.acquire_cache(&name("c"), &other).await.unwrap();
    assert_eq!(read(&copy), "v1");
    let top = fs::metadata(&copy.path).unwrap();
    assert_eq!((top.uid(), top.gid()), (7, 8));
    assert_eq!(fs::metadata(copy.path.join("data")).unwrap().uid(), 0);
    give(&store, copy).await;

    // Of three at once none sees another's, and the first to come back stays.
    let (a, b, c) = (
        take(&store, "c").await,
        take(&store, "c").await,
        take(&store, "c").await,
    );
    write(&a, "v2a");
    write(&b, "v2b");
    assert_eq!(
        (read(&a), read(&b), read(&c)),
        ("v2a".into(), "v2b".into(), "v1".into())
    );
    give(&store, b).await;
    assert_eq!((read(&a), read(&c)), ("v2a".into(), "v1".into()));
    let later = take(&store, "c").await;
    assert_eq!(read(&later), "v2b");
    give(&store, a).await;
    give(&store, c).await;
    write(&later, "v3");
    give(&store, later).await;
    let copy = take(&store, "c").await;
    assert_eq!(read(&copy), "v3");
    give(&store, copy).await;

    // It is there for the next process, and nothing else is.
    drop(store);
    assert_tidy(&ground);
    let store = ground.open();
    assert_eq!(store.caches().unwrap(), [name("c")]);
    let copy = take(&store, "c").await;
    assert_eq!(read(&copy), "v3");
    give(&store, copy).await;

    many_uses(&store, &ground).await;
}

/// Uses the cache "c", with the content "v3", many times: it does not collect layers.
async fn many_uses(store: &Rc<dyn Store>, ground: &Ground) {
    for n in 0..40 {
        let copy = take(store, "c").await;
        assert_eq!(
            read(&copy),
            if n == 0 {
                "v3".to_owned()
            } else {
                format!("n{}", n - 1)
            }
        );
        write(&copy, &format!("n{n}"));
        give(store, copy).await;
    }
    let entries = fs::read_dir(ground.root.join("cache/c-c")).unwrap().count();
    assert!(entries <= 20, "{entries} layers of a cache");
}

pub(crate) async fn a_cache_may_be_deleted_while_in_use(ground: Ground) {
    let store = ground.open();
    let copy = take(&store, "c").await;
    write(&copy, "old");
    give(&store, copy).await;
    let (one, two) = (take(&store, "c").await, take(&store, "c").await);
    write(&one, "one");
    store.delete_cache(&name("c")).await.unwrap();
    store.complete_deletes().await.unwrap();
    assert_eq!(store.caches().unwrap(), []);

    // Those who use it notice nothing, and a new one starts empty.
    assert_eq!((read(&one), read(&two)), ("one".into(), "old".into()));
    let new = take(&store, "c").await;
    assert_eq!(read(&new), "");
    write(&new, "new");

    // What comes back is dropped.
    give(&store, one).await;
    give(&store, new).await;
    give(&store, two).await;
    let copy = take(&store, "c").await;
    assert_eq!(read(&copy), "new");
    give(&store, copy).await;
    store.delete_cache(&name("c")).await.unwrap();
    store.delete_cache(&name("c")).await.unwrap();
    store.delete_cache(&name("none")).await.unwrap();
    drop(store);
    assert_tidy(&ground);
    assert!(
        fs::read_dir(ground.root.join("cache"))
            .unwrap()
            .next()
            .is_none()
    );
    assert_eq!(mounts_below(&ground.root), 0);
}

pub(crate) async fn no_name_leaves_the_cache_directory(ground: Ground) {
    let store = ground.open();
    let outside = ground.root.join("state/outside");
    let absolute = ground.root.join("state/absolute");
    let absolute = absolute.to_str().unwrap();
    let hostile = [
        "",
        ".",
        "..",
        "../state/outside",
        absolute,
        "a/b",
        "-rf",
        "a\n b",
        "%2f",
        "c-x",
    ];
    for (number, text) in hostile.iter().enumerate() {
        let copy = take(&store, text).await;
        assert!(copy.path.starts_with(&ground.root));
        write(&copy, &number.to_string());
        give(&store, copy).await;
    }
    for (number, text) in hostile.iter().enumerate() {
        let copy = take(&store, text).await;
        assert_eq!(read(&copy), number.to_string(), "{text:?}");
        give(&store, copy).await;
    }
    assert!(!outside.exists() && !Path::new(absolute).exists());
    let mut expected: Vec<_> = hostile.iter().map(|text| name(text)).collect();
    expected.sort();
    assert_eq!(store.caches().unwrap(), expected);
    for text in hostile {
        store.delete_cache(&name(text)).await.unwrap();
    }
    assert_eq!(store.caches().unwrap(), []);
    assert!(ground.root.join("result").exists());
    // One that no filesystem has room for is refused, and leaves nothing.
    let long = store.acquire_cache(&name(&"x".repeat(300)), &OWNER).await;
    assert!(long.is_err());
    drop(store);
    assert_tidy(&ground);
}

pub(crate) async fn what_a_copy_deletes_is_deleted(ground: Ground) {
    let store = ground.open();
    let copy = take(&store, "c").await;
    fs::create_dir_all(copy.path.join("dir/sub")).unwrap();
    fs::write(copy.path.join("dir/sub/old"), "old").unwrap();
    write(&copy, "old");
    give(&store, copy).await;
    let copy = take(&store, "c").await;
    fs::remove_dir_all(copy.path.join("dir")).unwrap();
    fs::create_dir(copy.path.join("dir")).unwrap();
    fs::remove_file(copy.path.join("data")).unwrap();
    give(&store, copy).await;
    // More uses than a cache keeps layers.
    for n in 0..20 {
        let copy = take(&store, "c").await;
        assert!(!copy.path.join("data").exists());
        assert!(
            fs::read_dir(copy.path.join("dir"))
                .unwrap()
                .next()
                .is_none()
        );
        fs::write(copy.path.join("count"), n.to_string()).unwrap();
        give(&store, copy).await;
    }
}

pub(crate) async fn a_cache_keeps_everything_about_a_file(ground: Ground) {
    let store = ground.open();
    let copy = take(&store, "c").await;
    zoo(&copy.path);
    let before = listing(&copy.path);
    give(&store, copy).await;
    // The first line is the top directory, which belongs to the user of the copy.
    let inside = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
    for n in 0..18 {
        let copy = take(&store, "c").await;
        assert_eq!(inside(&listing(&copy.path)), inside(&before), "use {n}");
        fs::write(copy.path.join("zz"), n.to_string()).unwrap();
        give(&store, copy).await;
        let copy = take(&store, "c").await;
        fs::remove_file(copy.path.join("zz")).unwrap();
        give(&store, copy).await;
    }
}
