//! What a store is like after its process was killed, the power was cut, or the disk was full.

#![expect(
    clippy::disallowed_methods,
    reason = "a child of the test is told by variables what to do, and prints when it is ready"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use obuilder::store::{OpenError, Store, StoreError, open};

use crate::caches::take;
use crate::ground::{Ground, Kind, assert_tidy, begin, block_on, id, mounts_below, spec, step};
use crate::results::shown;

pub(crate) async fn one_process_owns_a_store(ground: Ground) {
    let store = ground.open();
    let why = ground.try_open().map(drop).unwrap_err();
    assert!(why.contains("is in use by stores-"), "{why}");
    assert!(
        why.contains(&format!("(pid {})", std::process::id())),
        "{why}"
    );
    let error = open(&spec(ground.kind, &ground.root))
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    // The one who has it is not disturbed, and afterwards it is free.
    step(&store, "base", None, |_| {}).await;
    drop(store);
    assert!(ground.open().result(&id("base")).unwrap().is_some());
}

/// A process that holds a store open, with a draft, a view and a copy of a cache.
struct Holding(Child);

const CHILD: &str = "OBUILDER_TEST_HOLDS_STORE";

impl Holding {
    fn start(ground: &Ground) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crashes::a_process_to_be_killed", "--nocapture"])
            .env(CHILD, &ground.root)
            .env("OBUILDER_TEST_KIND", format!("{:?}", ground.kind))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let ready = output.lines().any(|line| line.unwrap().contains("ready"));
        assert!(ready, "the process ended");
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // It has ended, unless an assertion failed.
        drop(self.0.kill());
    }
}

/// Not a story: this is the process that the others start and kill.
#[test]
fn a_process_to_be_killed() {
    let Some(root) = std::env::var_os(CHILD) else {
        return;
    };
    let name = std::env::var("OBUILDER_TEST_KIND").unwrap();
    let kinds = [
        Kind::Overlayfs,
        Kind::Btrfs,
        Kind::Xfs,
        Kind::RsyncCopy,
        Kind::RsyncHardlink,
        Kind::RsyncHardlinkUnsafe,
    ];
    let kind = kinds
        .into_iter()
        .find(|kind| format!("{kind:?}") == name)
        .unwrap();
    let root = PathBuf::from(root);
    block_on(async {
        let store = Ground { kind, root }.open();
        let draft = begin(&store, "half", Some("step")).await;
        fs::write(draft.rootfs.join("half"), "half").unwrap();
        fs::write(draft.dir.join("log"), "half").unwrap();
        let empty = begin(&store, "half-base", None).await;
        fs::write(empty.rootfs.join("half"), "half").unwrap();
        let copy = take(&store, "c").await;
        fs::write(copy.path.join("data"), "half").unwrap();
        let _view = store.view(&id("step")).await.unwrap();
        println!("ready");
        std::io::stdout().flush().unwrap();
        // Until it is killed, or its parent process has exited.
        std::io::stdin().lines().for_each(drop);
    });
}

async fn a_base_a_step_and_a_cache(store: &Rc<dyn Store>) {
    step(store, "base", None, |root| {
        fs::write(root.join("1"), "one").unwrap();
    })
    .await;
    step(store, "step", Some("base"), |root| {
        fs::write(root.join("2"), "two").unwrap();
    })
    .await;
    let copy = take(store, "c").await;
    fs::write(copy.path.join("data"), "whole").unwrap();
    store.release_cache(copy).await.unwrap();
}

pub(crate) async fn what_a_killed_process_left_is_removed(ground: Ground) {
    let store = ground.open();
    a_base_a_step_and_a_cache(&store).await;
    let before = shown(&store, "step").await;
    drop(store);
    for _ in 0..2 {
        let holding = Holding::start(&ground);
        let why = ground.try_open().map(drop).unwrap_err();
        assert!(why.contains(&format!("(pid {})", holding.0.id())), "{why}");
        holding.kill();
        let store = ground.open();
        assert_tidy(&ground);
        assert_eq!(mounts_below(&ground.root), 0);
        assert_eq!(store.results().unwrap().len(), 2);
        assert_eq!(store.result(&id("half")).unwrap(), None);
        assert_eq!(shown(&store, "step").await, before);
        // What was half done can be done.
        let draft = begin(&store, "half", Some("step")).await;
        assert!(!draft.rootfs.join("half").exists() && !draft.dir.join("log").exists());
        store.discard(draft).await.unwrap();
        let copy = take(&store, "c").await;
        assert_eq!(fs::read_to_string(copy.path.join("data")).unwrap(), "whole");
        store.release_cache(copy).await.unwrap();
        store.complete_deletes().await.unwrap();
        assert!(
            fs::read_dir(ground.root.join("trash"))
                .unwrap()
                .next()
                .is_none()
        );
    }
}

pub(crate) async fn leftovers_of_every_kind_are_removed(ground: Ground) {
    drop(ground.open());
    // What a process may leave that was killed between any two calls, and what another program may.
    for dir in [
        "result-tmp/0/rootfs/a/b",
        "result-tmp/squash.7/rootfs",
        "cache-tmp/3-c-gone/rootfs",
        "cache-tmp/3-c-gone.old/x",
        "cache-tmp/no name",
        "trash/17/a/b",
        "trash/named/a",
    ] {
        fs::create_dir_all(ground.root.join(dir)).unwrap();
    }
    fs::write(ground.root.join("result-tmp/file"), "").unwrap();
    fs::write(ground.root.join("trash/file"), "").unwrap();
    std::os::unix::fs::symlink("0", ground.root.join("cache-tmp/5-link")).unwrap();
    if ground.kind == Kind::Overlayfs {
        for dir in [
            "work/x/work",
            "merged/x",
            "merged/view.0",
            "in-progress/x",
            "cache-merged/y",
        ] {
            fs::create_dir_all(ground.root.join(dir)).unwrap();
        }
        let mounted = |at: &str| {
            let at = ground.root.join(at);
            rustix::mount::mount_bind(ground.root.join("result"), at).unwrap();
        };
        // One over the other, and some where upstream has its mounts.
        for at in [
            "merged/x",
            "merged/x",
            "in-progress/x",
            "cache-merged/y",
            "merged",
        ] {
            mounted(at);
        }
    }
    let store = ground.open();
    assert_tidy(&ground);
    assert_eq!(mounts_below(&ground.root), 0);
    store.complete_deletes().await.unwrap();
    assert!(
        fs::read_dir(ground.root.join("trash"))
            .unwrap()
            .next()
            .is_none()
    );
    a_base_a_step_and_a_cache(&store).await;
}

pub(crate) async fn a_loss_of_power_takes_what_may_be_damaged(ground: Ground) {
    let store = ground.open();
    a_base_a_step_and_a_cache(&store).await;
    // The base has been written back meanwhile: that is asked for when there is one.
    store.complete_deletes().await.unwrap();
    step(&store, "last", Some("step"), |_| {}).await;
    drop(store);
    // The machine starts again: this boot's id is another.
    let unsynced = ground.root.join("unsynced");
    let boot = fs::read_dir(&unsynced)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::rename(&boot, unsynced.join("the boot before")).unwrap();
    let marked = |name: String| unsynced.join("the boot before").join(name).exists();
    assert!(marked(id("last").to_string()) && !marked(id("base").to_string()));
    let lost = ["step", "last"].map(|name| (name, marked(id(name).to_string())));
    let store = ground.open();
    assert!(store.result(&id("base")).unwrap().is_some());
    for (name, lost) in lost {
        assert_eq!(store.result(&id(name)).unwrap().is_none(), lost, "{name}");
    }
    assert!(!unsynced.join("the boot before").exists());
    // Built again, it is complete. And a process that waits for the disk loses nothing.
    store.delete(&id("step")).await.unwrap();
    a_step_on_the_base(&store).await;
    store.sync().await;
    drop(store);
    fs::rename(&boot, unsynced.join("the boot before")).unwrap();
    let store = ground.open();
    assert!(store.result(&id("step")).unwrap().is_some());
}

async fn a_step_on_the_base(store: &Rc<dyn Store>) {
    step(store, "step", Some("base"), |root| {
        fs::write(root.join("2"), "two").unwrap();
    })
    .await;
}

pub(crate) async fn a_full_disk_loses_nothing(ground: Ground) {
    let disk = ground.kind.small_disk();
    let ground = Ground {
        root: disk.path().join("store"),
        ..ground
    };
    let store = ground.open();
    a_base_a_step_and_a_cache(&store).await;
    let before = shown(&store, "step").await;
    let draft = begin(&store, "full", Some("step")).await;
    let copy = take(&store, "c").await;
    fs::write(copy.path.join("data"), "not kept").unwrap_or(());

    // A step fills the disk, and others go on until nothing at all can be written.
    let filler = disk.path().join("filler");
    fs::create_dir(&filler).unwrap();
    fill(&draft.rootfs.join("large"), 1 << 16);
    for size in [1 << 12, 0] {
        fill_with_files(&filler, size);
    }
    let mut full = 0;
    for n in 0..5 {
        match store
            .begin(&id(&format!("more {n}")), Some(&id("step")))
            .await
        {
            Err(StoreError::Full { .. }) => full += 1,
            Err(error) => panic!("{error}"),
            // Some room is found where some metadata has been.
            Ok(draft) => {
                fill(&draft.rootfs.join("more"), 1 << 12);
                match store.publish(draft).await {
                    Err(StoreError::Full { .. }) => full += 1,
                    Err(error) => panic!("{error}"),
                    Ok(_) => {}
                }
            }
        }
    }
    assert!(full > 0, "the disk is not full");
    // What fails here fails for want of space.
    if let Err(error) = store.release_cache(copy).await {
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
    }
    store.discard(draft).await.unwrap();

    // With room again everything goes on. Nothing is lost, and nothing half done is left.
    fs::remove_dir_all(&filler).unwrap();
    for n in 0..5 {
        store.delete(&id(&format!("more {n}"))).await.unwrap();
    }
    store.complete_deletes().await.unwrap();
    assert_eq!(shown(&store, "step").await, before);
    step(&store, "full", Some("step"), |root| {
        assert!(!root.join("large").exists());
        fs::write(root.join("3"), "three").unwrap();
    })
    .await;
    let copy = take(&store, "c").await;
    let data = fs::read_to_string(copy.path.join("data")).unwrap();
    assert!(["whole", "not kept"].contains(&data.as_str()), "{data:?}");
    store.release_cache(copy).await.unwrap();
    assert_eq!(store.results().unwrap().len(), 3);
    drop(store);
    assert_tidy(&ground);
    assert_eq!(mounts_below(&ground.root), 0);
}

/// Writes to a file until it takes no more.
fn fill(path: &Path, size: usize) {
    let Ok(mut file) = fs::File::create(path) else {
        return;
    };
    let block = vec![b'x'; size];
    for _ in 0..1 << 16 {
        if file.write_all(&block).is_err() {
            return;
        }
    }
    panic!("a disk of several GB");
}

/// Makes files until there can be no more.
fn fill_with_files(dir: &Path, size: usize) {
    let content = vec![b'x'; size];
    for number in 0..1 << 20 {
        if fs::write(dir.join(format!("{size}.{number}")), &content).is_err() {
            return;
        }
    }
    panic!("a disk of several GB");
}
