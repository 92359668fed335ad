//! Stores that cannot be had, and one that another program has made.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use obuilder::store::{OpenError, StoreSpec, open};

use rustix::fs::StatVfsMountFlags;

use crate::ground::{Ground, Kind, begin, id, on, spec, step};
use crate::listing::listing;

#[test]
fn errors_of_unsupported_stores_name_alternatives() {
    for (place, kind) in [
        ("docker:x", "docker"),
        ("qemu:/x", "qemu"),
        ("hcs:x", "hcs"),
    ] {
        let spec = StoreSpec::new(place.parse().ok(), None).unwrap();
        let error = open(&spec).map(drop).unwrap_err().to_string();
        let expected = format!(
            "cannot open {kind} stores: use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool"
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn a_filesystem_that_will_not_do_is_named() {
    on(
        Kind::Overlayfs,
        "a_filesystem_that_will_not_do_is_named",
        |ground| async move {
            // The ground is ext4, which has neither subvolumes nor shared blocks.
            for (kind, lacks) in [
                (
                    Kind::Btrfs,
                    "ext4 (or ext2, ext3) has no subvolumes; put the store on btrfs",
                ),
                (
                    Kind::Xfs,
                    "ext4 (or ext2, ext3) cannot share blocks between files; put the store on xfs",
                ),
            ] {
                let error = open(&spec(kind, &ground.root)).map(drop).unwrap_err();
                assert!(matches!(error, OpenError::Filesystem { .. }));
                assert!(error.to_string().contains(lacks), "{error}");
            }
            assert!(!ground.root.join("result").exists());

            // An overlay holds no upper layer of another.
            let store = ground.open();
            let draft = begin(&store, "base", None).await;
            store.publish(draft).await.unwrap();
            let draft = begin(&store, "step", Some("base")).await;
            let inside = Ground {
                root: draft.rootfs.join("store"),
                ..ground
            };
            let why = inside.try_open().map(drop).unwrap_err();
            let expected = "overlayfs cannot hold the layers of an overlay; put the store on ext4, xfs, btrfs or \
                            tmpfs, or use rsync:/path";
            assert!(why.contains(expected), "{why}");
            store.discard(draft).await.unwrap();
        },
    );
}

/// Upstream's results are the upper layers of whole directories, with absolute links to their bases.
#[test]
fn upstreams_overlays_are_read_as_they_are() {
    on(
        Kind::Overlayfs,
        "upstreams_overlays_are_read_as_they_are",
        |ground| async move {
            let result = |name: &str| ground.root.join("result").join(id(name).to_string());
            fs::create_dir_all(result("base").join("rootfs")).unwrap();
            fs::write(result("base").join("rootfs/1"), "one").unwrap();
            fs::write(result("base").join("env"), "((env ()))").unwrap();
            for (name, base) in [("step", "base"), ("nothing", "step"), ("last", "nothing")] {
                fs::create_dir(result(name)).unwrap();
                symlink(result(base), result(name).join("parent")).unwrap();
                symlink(result(base).join("env"), result(name).join("env")).unwrap();
                fs::write(result(name).join("log"), name).unwrap();
            }
            // A step that changes nothing has no layer there.
            for name in ["step", "last"] {
                fs::create_dir(result(name).join("rootfs")).unwrap();
                fs::write(result(name).join("rootfs").join(name), name).unwrap();
            }
            let store = ground.open();
            assert_eq!(
                store.result(&id("last")).unwrap().unwrap().base,
                Some(id("nothing"))
            );
            let draft = begin(&store, "ours", Some("last")).await;
            let names: Vec<_> = ["1", "last", "step"]
                .map(|name| draft.rootfs.join(name).exists())
                .into();
            assert_eq!(names, [true; 3], "{}", listing(&draft.rootfs));
            assert_eq!(
                fs::read_to_string(draft.dir.join("env")).unwrap(),
                "((env ()))"
            );
            store.publish(draft).await.unwrap();
            let view = store.view(&id("nothing")).await.unwrap();
            assert!(view.rootfs().join("step").exists() && !view.rootfs().join("last").exists());
        },
    );
}

#[test]
fn a_store_is_closed_to_others() {
    on(
        Kind::Overlayfs,
        "a_store_is_closed_to_others",
        |ground| async move {
            let mode =
                |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            let open_to_all = |path: &std::path::Path| {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            };
            // A mount point, empty but for what every ext4 has.
            fs::create_dir(&ground.root).unwrap();
            fs::create_dir(ground.root.join("lost+found")).unwrap();
            open_to_all(&ground.root);
            drop(ground.open());
            assert_eq!(mode(&ground.root), 0o700);
            assert_eq!(mode(&ground.root.join("state")), 0o700);

            // A store that was there before.
            open_to_all(&ground.root);
            open_to_all(&ground.root.join("state"));
            let store = ground.open();
            assert_eq!(mode(&ground.root), 0o700);
            assert_eq!(mode(&ground.root.join("state")), 0o700);

            // What is shown of a result to others than steps makes nobody root.
            step(&store, "base", None, |_| {}).await;
            step(&store, "step", Some("base"), |_| {}).await;
            let view = store.view(&id("step")).await.unwrap();
            let flags = rustix::fs::statvfs(view.rootfs()).unwrap().f_flag;
            let expected =
                StatVfsMountFlags::NOSUID | StatVfsMountFlags::NODEV | StatVfsMountFlags::RDONLY;
            assert!(flags.contains(expected), "{flags:?}");
            drop((view, store));

            // A directory with other things in it is not ours to close, and another user's is no place.
            let other = Ground {
                root: ground.root.with_extension("other"),
                ..ground
            };
            fs::create_dir(&other.root).unwrap();
            fs::write(other.root.join("file"), "").unwrap();
            open_to_all(&other.root);
            let why = other.try_open().map(drop).unwrap_err();
            assert!(
                why.contains("has the mode 0755") && why.contains("`chmod 700` this one"),
                "{why}"
            );
            assert_eq!(mode(&other.root), 0o755);
            fs::set_permissions(&other.root, fs::Permissions::from_mode(0o700)).unwrap();
            std::os::unix::fs::chown(&other.root, Some(1000), None).unwrap();
            let why = other.try_open().map(drop).unwrap_err();
            assert!(why.contains("it belongs to the user 1000"), "{why}");
        },
    );
}
