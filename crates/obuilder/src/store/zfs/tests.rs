//! The order of the commands, and what happens when one fails, with programs that only write down what they are asked.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use obuilder_spec::User;

use super::ZfsStore;
use super::command::Commands;
use crate::StepId;
use crate::store::{CacheName, OpenError, Store as _, StoreError};

/// Records its arguments, fails on request, and creates the mount point of a dataset.
const PROGRAM: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
echo "$(basename "$0") $*" >> commands
if [ -e refused ] && echo "$(basename "$0") $*" | grep -q -f refused; then echo "cannot: out of space" >&2; exit 1; fi
case "$1" in
  list) cat "$(basename "$0").list" ;;
  create | clone) for last; do :; done; mkdir -p "root/${last#tank/}/rootfs" ;;
esac
"#;

struct Fake {
    dir: tempfile::TempDir,
}

impl Fake {
    fn new(listing: &str) -> Self {
        let fake = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        for name in ["zfs", "zpool"] {
            fs::write(fake.path(name), PROGRAM).unwrap();
            fs::set_permissions(fake.path(name), Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(fake.path("zfs.list"), listing.replace(' ', "\t")).unwrap();
        fs::write(fake.path("zpool.list"), "1000\t250\n").unwrap();
        fs::create_dir(fake.path("root")).unwrap();
        fake
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self) -> Result<ZfsStore, OpenError> {
        let commands = Commands {
            zfs: self.path("zfs").into(),
            zpool: self.path("zpool").into(),
            pool: "tank".to_owned(),
        };
        ZfsStore::open(commands, self.path("root"))
    }

    /// Makes commands that match fail from now on.
    fn refuse(&self, pattern: &str) {
        fs::write(self.path("refused"), pattern).unwrap();
    }

    /// Compares the commands since the last time.
    fn commands(&self, expected: &Expect) {
        let commands = fs::read_to_string(self.path("commands")).unwrap_or_default();
        let commands = commands.replace(&step("base").to_string(), "BASE");
        let commands = commands.replace(&step("step").to_string(), "STEP");
        fs::write(self.path("commands"), "").unwrap();
        expected.assert_eq(&commands);
    }
}

const EMPTY: &str = "tank -\ntank/state -\ntank/result -\ntank/cache -\ntank/cache-tmp -\n";

fn step(name: &str) -> StepId {
    StepId::of(name.as_bytes())
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[tokio::test]
async fn a_step_is_a_clone_and_a_result_a_snapshot() {
    let fake = Fake::new("tank -\n");
    let store = fake.open().unwrap();
    fake.commands(&expect![[r#"
        zfs list -H -r -t filesystem,snapshot -o name,origin -- tank
        zfs create -- tank/state
        zfs create -- tank/result
        zfs create -- tank/cache
        zfs create -- tank/cache-tmp
    "#]]);
    // The fake makes the root filesystem that a clone would have; a new dataset is empty.
    fs::create_dir_all(fake.path("root/result")).unwrap();
    let (base, id) = (step("base"), step("step"));
    let refused = store.begin(&id, Some(&base)).await;
    assert!(matches!(refused, Err(StoreError::NoBase(_))));
    store.results.borrow_mut().insert(base, None);
    let draft = store.begin(&id, Some(&base)).await.unwrap();
    assert!(is_there(&draft.dir.join("parent")));
    let done = store.publish(draft).await.unwrap();
    assert!(done.dir.ends_with(".zfs/snapshot/snap"));
    store.delete(&id).await.unwrap();
    store.delete(&id).await.unwrap();
    // An error leaves no dataset.
    fake.refuse("zfs mount");
    let full = store.begin(&id, Some(&base)).await;
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    store.complete_deletes().await.unwrap();
    assert_eq!(store.space().unwrap().free_percent(), 25.0);
    fake.commands(&expect![[r#"
        zfs clone -o canmount=noauto -- tank/result/BASE@snap tank/result/STEP
        zfs mount -- tank/result/STEP
        zfs snapshot -r -- tank/result/STEP@snap
        zfs destroy -R -f -- tank/result/STEP
        zfs clone -o canmount=noauto -- tank/result/BASE@snap tank/result/STEP
        zfs mount -- tank/result/STEP
        zfs destroy -r -f -- tank/result/STEP
        zpool wait -t free -- tank
        zpool list -H -p -o size,free -- tank
    "#]]);
}

#[tokio::test]
async fn a_full_pool_leaves_no_draft() {
    let fake = Fake::new(EMPTY);
    let store = fake.open().unwrap();
    store.results.borrow_mut().insert(step("base"), None);
    let draft = store
        .begin(&step("step"), Some(&step("base")))
        .await
        .unwrap();
    fake.refuse("snapshot");
    let full = store.publish(draft).await;
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    assert_eq!(store.result(&step("step")).unwrap(), None);
    fake.commands(&expect![[r#"
        zfs list -H -r -t filesystem,snapshot -o name,origin -- tank
        zfs clone -o canmount=noauto -- tank/result/BASE@snap tank/result/STEP
        zfs mount -- tank/result/STEP
        zfs snapshot -r -- tank/result/STEP@snap
        zfs destroy -r -f -- tank/result/STEP
    "#]]);
}

#[tokio::test]
async fn a_copy_of_a_cache_takes_its_place() {
    let fake = Fake::new(EMPTY);
    let store = fake.open().unwrap();
    let name = CacheName("a/1".into());
    let one = store.acquire_cache(&name, &User::ROOT).await.unwrap();
    let two = store.acquire_cache(&name, &User::ROOT).await.unwrap();
    store.release_cache(two).await.unwrap();
    store.release_cache(one).await.unwrap();
    assert_eq!(store.caches().unwrap(), std::slice::from_ref(&name));
    fake.refuse("destroy -r -f -- tank/cache-tmp/gone");
    let three = store.acquire_cache(&name, &User::ROOT).await.unwrap();
    store.delete_cache(&name).await.unwrap();
    assert_eq!(store.caches().unwrap(), []);
    fake.refuse("nothing");
    store.release_cache(three).await.unwrap();
    fake.commands(&expect![[r#"
        zfs list -H -r -t filesystem,snapshot -o name,origin -- tank
        zfs create -- tank/cache/c-a:2f1
        zfs snapshot -r -- tank/cache/c-a:2f1@snap
        zfs clone -o canmount=noauto -- tank/cache/c-a:2f1@snap tank/cache-tmp/0-c-a:2f1
        zfs mount -- tank/cache-tmp/0-c-a:2f1
        zfs clone -o canmount=noauto -- tank/cache/c-a:2f1@snap tank/cache-tmp/1-c-a:2f1
        zfs mount -- tank/cache-tmp/1-c-a:2f1
        zfs promote -- tank/cache-tmp/1-c-a:2f1
        zfs rename -- tank/cache-tmp/1-c-a:2f1@snap tank/cache-tmp/1-c-a:2f1@old-1
        zfs snapshot -r -- tank/cache-tmp/1-c-a:2f1@snap
        zfs rename -- tank/cache/c-a:2f1 tank/cache-tmp/old-c-a:2f1
        zfs rename -- tank/cache-tmp/1-c-a:2f1 tank/cache/c-a:2f1
        zfs destroy -r -f -- tank/cache-tmp/old-c-a:2f1
        zfs destroy -d -- tank/cache/c-a:2f1@old-1
        zfs destroy -r -f -- tank/cache-tmp/0-c-a:2f1
        zfs clone -o canmount=noauto -- tank/cache/c-a:2f1@snap tank/cache-tmp/2-c-a:2f1
        zfs mount -- tank/cache-tmp/2-c-a:2f1
        zfs rename -- tank/cache/c-a:2f1 tank/cache-tmp/gone-3
        zfs destroy -r -f -- tank/cache-tmp/gone-3
        zfs destroy -r -f -- tank/cache-tmp/2-c-a:2f1
        zfs destroy -r -f -- tank/cache-tmp/gone-3
    "#]]);
}

/// The old cache was put aside, and the new one had not got its name.
#[test]
fn an_interrupted_change_of_a_cache_is_undone() {
    let listing = format!(
        "{EMPTY}tank/cache-tmp/old-c-x tank/cache-tmp/7-c-x@old-7\n\
         tank/cache-tmp/7-c-x -\ntank/cache-tmp/7-c-x@old-7 -\ntank/cache-tmp/7-c-x@snap -\n"
    );
    let fake = Fake::new(&listing);
    let store = fake.open().unwrap();
    assert_eq!(store.caches().unwrap(), [CacheName("x".into())]);
    fake.commands(&expect![[r#"
        zfs list -H -r -t filesystem,snapshot -o name,origin -- tank
        zfs rename -- tank/cache-tmp/old-c-x tank/cache/c-x
        zfs promote -- tank/cache/c-x
        zfs destroy -R -f -- tank/cache-tmp/7-c-x
        zfs list -H -r -t filesystem,snapshot -o name,origin -- tank
        zfs snapshot -r -- tank/cache/c-x@snap
    "#]]);
}

/// A draft has no snapshot; results know their bases by what they were cloned from.
#[test]
fn a_draft_of_a_killed_process_is_destroyed() {
    let (base, id) = (step("base"), step("step"));
    let draft = step("draft");
    let listing = format!(
        "{EMPTY}tank/result/{base} -\ntank/result/{base}@snap -\n\
         tank/result/{id} tank/result/{base}@snap\ntank/result/{id}@snap -\n\
         tank/result/{draft} tank/result/{id}@snap\ntank/other -\nelsewhere/result/x -\n"
    );
    let fake = Fake::new(&listing);
    let store = fake.open().unwrap();
    let mut results: Vec<_> = store
        .results()
        .unwrap()
        .iter()
        .map(|r| (r.id, r.base))
        .collect();
    results.sort();
    let mut expected = [(base, None), (id, Some(base))];
    expected.sort();
    assert_eq!(results, expected);
    let commands = fs::read_to_string(fake.path("commands")).unwrap();
    assert!(
        commands.ends_with(&format!("zfs destroy -r -f -- tank/result/{draft}\n")),
        "{commands}"
    );
    assert!(matches!(fake.open(), Err(OpenError::InUse { .. })));
}
