//! What becomes of a step's files.

#![expect(clippy::print_stdout, reason = "shows what was compared")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use obuilder::store::{Store, StoreError};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, XattrFlags, lsetxattr, mknodat, openat};
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::ground::{Ground, assert_tidy, begin, id, mounts_below, step};
use crate::listing::listing;

/// Checks that a failing step on "step" leaves nothing behind, and may be tried again.
async fn check_discarded(store: &Rc<dyn Store>) {
    let draft = begin(store, "failing", Some("step")).await;
    fs::remove_file(draft.rootfs.join("output")).unwrap();
    store.discard(draft).await.unwrap();
    assert_eq!(store.result(&id("failing")).unwrap(), None);
    let draft = begin(store, "failing", Some("step")).await;
    assert!(draft.rootfs.join("output").exists());
    store.discard(draft).await.unwrap();
}

pub(crate) async fn files_of_a_step_are_kept(ground: Ground) {
    let store = ground.open();
    // An unknown id has no result, and cannot be a base.
    assert_eq!(store.result(&id("base")).unwrap(), None);
    let refused = store.begin(&id("step"), Some(&id("base"))).await;
    assert!(matches!(refused, Err(StoreError::NoBase(base)) if base == id("base")));

    // A step without a base has an empty root. Its files are kept.
    let draft = begin(&store, "base", None).await;
    assert!(fs::read_dir(&draft.rootfs).unwrap().next().is_none());
    assert_eq!(mode(&draft.rootfs), 0o755);
    fs::write(draft.rootfs.join("output"), "base").unwrap();
    fs::write(draft.dir.join("env"), "variables").unwrap();
    fs::write(draft.dir.join("log"), "said").unwrap();
    assert_eq!(store.result(&id("base")).unwrap(), None);
    let base = store.publish(draft).await.unwrap();
    assert_eq!(store.result(&id("base")).unwrap(), Some(base.clone()));
    assert_eq!(fs::read_to_string(base.dir.join("log")).unwrap(), "said");

    // A step on it has these files, and its changes do not affect the base.
    let draft = begin(&store, "step", Some("base")).await;
    let output = draft.rootfs.join("output");
    assert_eq!(fs::read_to_string(&output).unwrap(), "base");
    assert_eq!(
        fs::read_to_string(draft.dir.join("env")).unwrap(),
        "variables"
    );
    assert!(!draft.dir.join("log").exists());
    fs::write(&output, "step").unwrap();
    let done = store.publish(draft).await.unwrap();
    assert_eq!(done.base, Some(id("base")));
    assert_eq!(
        fs::read_to_string(done.dir.join("env")).unwrap(),
        "variables"
    );
    for (name, content) in [("base", "base"), ("step", "step")] {
        let view = store.view(&id(name)).await.unwrap();
        assert_eq!(
            fs::read_to_string(view.rootfs().join("output")).unwrap(),
            content
        );
    }

    check_discarded(&store).await;

    // A deleted result no longer exists, and deleting it again is no error. The others stay, also for the next process.
    store.delete(&id("step")).await.unwrap();
    store.delete(&id("step")).await.unwrap();
    store.complete_deletes().await.unwrap();
    assert_eq!(store.result(&id("step")).unwrap(), None);
    assert_tidy(&ground);
    assert!(
        fs::read_dir(ground.root.join("trash"))
            .unwrap()
            .next()
            .is_none()
    );
    drop(store);
    let store = ground.open();
    assert_eq!(store.result(&id("base")).unwrap(), Some(base));
    let space = store.space().unwrap();
    assert!(space.free > 0 && space.free < space.total, "{space:?}");
    drop(store);
    assert_eq!(mounts_below(&ground.root), 0);
}

pub(crate) async fn a_copy_has_everything_about_a_file(ground: Ground) {
    let store = ground.open();
    step(&store, "base", None, zoo).await;
    let before = shown(&store, "base").await;
    for line in [
        "4755 1000:1001 981173106.123456789",
        "= \"dir/many-2\"",
        "device 1283",
        "security.capability",
    ] {
        assert!(before.contains(line), "{line}: {before}");
    }
    step(&store, "step", Some("base"), |_| {}).await;
    assert_eq!(shown(&store, "step").await, before);

    // What is written to a copy is written to no other: not by one of several names either.
    step(&store, "writing", Some("step"), |root| {
        for name in ["many-1", "set-user-id", "long"] {
            let mut file = fs::File::options()
                .append(true)
                .open(root.join(name))
                .unwrap();
            std::io::Write::write_all(&mut file, b"more").unwrap();
        }
    })
    .await;
    for name in ["base", "step"] {
        assert_eq!(shown(&store, name).await, before, "{name}");
    }
}

/// Makes one of everything.
pub(crate) fn zoo(root: &Path) {
    let at = |name: &str| root.join(name);
    fs::write(at("set-user-id"), "program").unwrap();
    chown(at("set-user-id"), Some(1000), Some(1001)).unwrap();
    fs::set_permissions(at("set-user-id"), Permissions::from_mode(0o4755)).unwrap();
    // CAP_NET_RAW, as an installer of `ping` sets it.
    let capability =
        b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let attribute = |path: &Path, name: &str, value: &[u8]| {
        lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
    };
    attribute(&at("set-user-id"), "security.capability", capability);
    fs::write(at("many-1"), "linked").unwrap();
    fs::create_dir(at("dir")).unwrap();
    fs::hard_link(at("many-1"), at("dir/many-2")).unwrap();
    fs::hard_link(at("many-1"), at("many-3")).unwrap();
    attribute(&at("many-1"), "user.colour", b"green");
    attribute(&at("dir"), "user.empty", b"");
    attribute(&at("dir"), "user.large", &[b'x'; 1000]);
    fs::set_permissions(at("dir"), Permissions::from_mode(0o2710)).unwrap();
    symlink("../nowhere", at("link")).unwrap();
    chown_link(&at("link"), 5, 6);
    symlink("dir", at("link-to-dir")).unwrap();
    let node = |name: &str, kind, device| {
        mknodat(CWD, at(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
    };
    node("char", FileType::CharacterDevice, rustix::fs::makedev(5, 3));
    node("block", FileType::BlockDevice, rustix::fs::makedev(7, 200));
    node("fifo", FileType::Fifo, 0);
    node("socket", FileType::Socket, 0);
    fs::write(at("long"), "y".repeat(100_000)).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("odd \n:,\u{7f} name"), "odd").unwrap();
    fs::create_dir(at("unreadable")).unwrap();
    fs::write(at("unreadable/file"), "hidden").unwrap();
    fs::set_permissions(at("unreadable"), Permissions::from_mode(0o000)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(981_173_106, 123_456_789);
    for name in ["set-user-id", "many-1", "dir", "unreadable", ""] {
        let file = fs::File::open(at(name)).unwrap();
        file.set_modified(time).unwrap();
    }
}

fn chown_link(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
}

pub(crate) async fn shown(store: &std::rc::Rc<dyn obuilder::store::Store>, name: &str) -> String {
    let view = store.view(&id(name)).await.unwrap();
    listing(view.rootfs())
}

pub(crate) async fn a_view_is_the_whole_filesystem(ground: Ground) {
    let store = ground.open();
    step(&store, "base", None, |root| {
        fs::write(root.join("1"), "one").unwrap();
    })
    .await;
    step(&store, "second", Some("base"), |root| {
        fs::write(root.join("2"), "two").unwrap();
    })
    .await;
    step(&store, "third", Some("second"), |root| {
        fs::write(root.join("3"), "three").unwrap();
    })
    .await;
    let before = mounts_below(&ground.root);

    // All layers show, in two views at once, and while a step works on the same.
    let view = store.view(&id("third")).await.unwrap();
    let again = store.view(&id("third")).await.unwrap();
    let draft = begin(&store, "fourth", Some("third")).await;
    for root in [view.rootfs(), again.rootfs(), &draft.rootfs] {
        for (name, content) in [("1", "one"), ("2", "two"), ("3", "three")] {
            assert_eq!(fs::read_to_string(root.join(name)).unwrap(), content);
        }
    }
    fs::write(draft.rootfs.join("1"), "changed").unwrap();
    assert_eq!(fs::read_to_string(view.rootfs().join("1")).unwrap(), "one");
    store.discard(draft).await.unwrap();

    // Nothing stays of them, and one that outlives the store does no harm.
    drop(again);
    assert!(view.rootfs().join("1").exists());
    drop(store);
    drop(view);
    assert!(mounts_below(&ground.root) <= before);
    let store = ground.open();
    assert!(matches!(
        store.view(&id("none")).await,
        Err(StoreError::NoBase(_))
    ));
    assert_tidy(&ground);
}

/// Makes a base "0" and three steps on it. Each removes a directory and creates it again; some kinds change.
async fn steps_that_remove_and_replace(store: &Rc<dyn Store>) {
    step(store, "0", None, |root| {
        fs::create_dir_all(root.join("dir/sub")).unwrap();
        for name in ["dir/old", "dir/sub/old", "file", "becomes-dir"] {
            fs::write(root.join(name), "0").unwrap();
        }
        fs::create_dir(root.join("becomes-file")).unwrap();
        fs::write(root.join("becomes-file/old"), "0").unwrap();
    })
    .await;
    step(store, "1", Some("0"), |root| {
        fs::remove_dir_all(root.join("dir")).unwrap();
        fs::create_dir(root.join("dir")).unwrap();
        fs::write(root.join("dir/one"), "1").unwrap();
        fs::create_dir(root.join("new")).unwrap();
        fs::write(root.join("new/gone-in-2"), "1").unwrap();
        fs::remove_file(root.join("file")).unwrap();
        fs::remove_file(root.join("becomes-dir")).unwrap();
        fs::create_dir(root.join("becomes-dir")).unwrap();
        fs::remove_dir_all(root.join("becomes-file")).unwrap();
        fs::write(root.join("becomes-file"), "1").unwrap();
    })
    .await;
    step(store, "2", Some("1"), |root| {
        fs::remove_dir_all(root.join("dir")).unwrap();
        fs::create_dir_all(root.join("dir/sub")).unwrap();
        fs::write(root.join("dir/sub/two"), "2").unwrap();
        fs::remove_file(root.join("new/gone-in-2")).unwrap();
        fs::write(root.join("file"), "2").unwrap();
    })
    .await;
    step(store, "3", Some("2"), |root| {
        fs::rename(root.join("dir/sub/two"), root.join("dir/three")).unwrap();
        fs::remove_dir(root.join("dir/sub")).unwrap();
        fs::create_dir(root.join("dir/sub")).unwrap();
        fs::remove_file(root.join("becomes-file")).unwrap();
        fs::create_dir(root.join("becomes-file")).unwrap();
    })
    .await;
}

pub(crate) async fn deleted_files_stay_deleted(ground: Ground) {
    let store = ground.open();
    steps_that_remove_and_replace(&store).await;
    let names = |text: String| {
        let names: Vec<_> = text
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        names.join(" ")
    };
    let expected = [
        r#""" "becomes-dir" "becomes-file" "becomes-file/old" "dir" "dir/old" "dir/sub" "dir/sub/old" "file""#,
        r#""" "becomes-dir" "becomes-file" "dir" "dir/one" "new" "new/gone-in-2""#,
        r#""" "becomes-dir" "becomes-file" "dir" "dir/sub" "dir/sub/two" "file" "new""#,
        r#""" "becomes-dir" "becomes-file" "dir" "dir/sub" "dir/three" "file" "new""#,
    ];
    for (index, expected) in expected.into_iter().enumerate() {
        assert_eq!(
            names(shown(&store, &index.to_string()).await),
            expected,
            "{index}"
        );
    }
    // Also after a long chain of layers was merged.
    if !ground.kind.copies() {
        for n in 4..80 {
            step(&store, &n.to_string(), Some(&(n - 1).to_string()), |_| {}).await;
        }
        assert_eq!(
            Some(&*names(shown(&store, "79").await)),
            expected.last().copied()
        );
    }
}

pub(crate) async fn results_can_be_listed_with_their_bases(ground: Ground) {
    let store = ground.open();
    step(&store, "base", None, |_| {}).await;
    step(&store, "left", Some("base"), |_| {}).await;
    step(&store, "right", Some("base"), |_| {}).await;
    step(&store, "end", Some("left"), |_| {}).await;
    let unfinished = begin(&store, "unfinished", Some("end")).await;
    fs::create_dir(ground.root.join("result/stray")).unwrap();
    let mut found: Vec<_> = store.results().unwrap();
    found.sort_by_key(|result| result.id);
    let mut expected: Vec<_> = [
        ("base", None),
        ("left", Some("base")),
        ("right", Some("base")),
        ("end", Some("left")),
    ]
    .map(|(name, base)| (id(name), base.map(id)))
    .into();
    expected.sort();
    assert_eq!(
        found
            .iter()
            .map(|result| (result.id, result.base))
            .collect::<Vec<_>>(),
        expected
    );
    store.discard(unfinished).await.unwrap();
}

pub(crate) async fn a_store_may_be_moved(ground: Ground) {
    let store = ground.open();
    step(&store, "base", None, |root| {
        fs::write(root.join("1"), "one").unwrap();
    })
    .await;
    step(&store, "step", Some("base"), |root| {
        fs::write(root.join("2"), "two").unwrap();
    })
    .await;
    let before = shown(&store, "step").await;
    drop(store);
    let moved = Ground {
        root: ground.root.with_extension("moved"),
        ..ground.clone()
    };
    fs::rename(&ground.root, &moved.root).unwrap();
    let store = moved.open();
    assert_eq!(shown(&store, "step").await, before);
    step(&store, "next", Some("step"), |root| {
        assert!(root.join("1").exists());
    })
    .await;
}

pub(crate) async fn a_store_may_have_any_name(ground: Ground) {
    let long = "long".repeat(60);
    for name in [
        "a:b,c=d",
        "white space\tand\nlines",
        "back\\slash\"quote'",
        "-rf",
        &long,
    ] {
        let root = ground.root.join(name);
        let ground = Ground {
            root,
            ..ground.clone()
        };
        let store = ground.open();
        step(&store, "base", None, |root| {
            fs::write(root.join("1"), "one").unwrap();
        })
        .await;
        step(&store, "step", Some("base"), |root| {
            fs::write(root.join("2"), "two").unwrap();
        })
        .await;
        let view = store.view(&id("step")).await.unwrap();
        assert!(view.rootfs().join("1").exists() && view.rootfs().join("2").exists());
    }
}

pub(crate) async fn deep_trees_and_long_names(ground: Ground) {
    let store = ground.open();
    let long = "n".repeat(255);
    step(&store, "base", None, |root| {
        let mut deep = root.to_owned();
        deep.extend(vec!["d"; 300]);
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("end"), "deep").unwrap();
        fs::write(root.join(&long), "long").unwrap();
    })
    .await;
    let before = shown(&store, "base").await;
    step(&store, "step", Some("base"), |_| {}).await;
    assert_eq!(shown(&store, "step").await, before);
    store.delete(&id("step")).await.unwrap();
    store.delete(&id("base")).await.unwrap();
    store.complete_deletes().await.unwrap();
    assert!(
        fs::read_dir(ground.root.join("trash"))
            .unwrap()
            .next()
            .is_none()
    );
}

pub(crate) async fn two_steps_on_one_base(ground: Ground) {
    let store = ground.open();
    step(&store, "base", None, |root| {
        fs::write(root.join("file"), "base").unwrap();
    })
    .await;
    let left = begin(&store, "left", Some("base")).await;
    let right = begin(&store, "right", Some("base")).await;
    fs::write(left.rootfs.join("file"), "left").unwrap();
    fs::write(right.rootfs.join("file"), "right").unwrap();
    store.publish(right).await.unwrap();
    store.publish(left).await.unwrap();
    for name in ["base", "left", "right"] {
        let view = store.view(&id(name)).await.unwrap();
        assert_eq!(
            fs::read_to_string(view.rootfs().join("file")).unwrap(),
            name
        );
    }
    assert_tidy_after(store, &ground);
}

fn assert_tidy_after(store: std::rc::Rc<dyn obuilder::store::Store>, ground: &Ground) {
    drop(store);
    assert_tidy(ground);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) async fn what_is_published_is_written_to_by_nobody(ground: Ground) {
    let store = ground.open();
    step(&store, "base", None, |rootfs| {
        fs::create_dir(rootfs.join("dir")).unwrap();
        fs::write(rootfs.join("dir/file"), "good").unwrap();
    })
    .await;
    let mut draft = begin(&store, "step", Some("base")).await;
    draft.is_exposed = true;
    // As a container has it: a mount of its own, of which somebody else has got descriptors.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, &draft.rootfs, flags).unwrap();
    let directory = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let kept = openat(&mount, "dir", directory, Mode::empty()).unwrap();
    drop(mount);
    store.publish(draft).await.unwrap();
    let before = shown(&store, "step").await;
    let writing = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
    let write = |name| {
        let file = openat(&kept, name, writing, Mode::from_raw_mode(0o644))?;
        rustix::io::write(file, b"evil").map(drop)
    };
    // It may fail, or be written to something that nobody sees.
    let changes = [
        write("evil"),
        write("file"),
        rustix::fs::mkdirat(&kept, "evil-dir", Mode::from_raw_mode(0o755)),
        rustix::fs::unlinkat(&kept, "file", AtFlags::empty()),
    ];
    println!("{:?}: {changes:?}", ground.kind);
    assert_eq!(shown(&store, "step").await, before);
    drop(kept);

    // A file that is open for writing all the while.
    let mut draft = begin(&store, "open", Some("base")).await;
    draft.is_exposed = true;
    let mount = open_tree(CWD, &draft.rootfs, flags).unwrap();
    let file = openat(&mount, "dir/file", writing, Mode::empty()).unwrap();
    drop(mount);
    match store.publish(draft).await {
        Ok(_) => {
            let before = shown(&store, "open").await;
            rustix::io::write(&file, b"evil").unwrap();
            assert_eq!(shown(&store, "open").await, before);
        }
        Err(StoreError::InUse(_)) => assert_eq!(store.result(&id("open")).unwrap(), None),
        Err(error) => panic!("{error}"),
    }
    drop(file);
    drop(store);
    assert_eq!(mounts_below(&ground.root), 0);
}
