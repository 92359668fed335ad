//! Sources that change between the step's id and the copy, and those that cannot be read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use obuilder::copy::{self, CopyError};
use rustix::process::Uid;
use tokio_util::sync::CancellationToken;

use crate::tree::{Place, SOMEBODY, Tree};

#[test]
fn a_file_that_changes_meanwhile_is_named() {
    type Change = fn(Tree) -> Tree;
    let changes: [(&str, Change); 6] = [
        ("other content", |tree| tree.file("dir/file", "xyz")),
        ("more content", |tree| tree.file("dir/file", "abcd")),
        ("less content", |tree| tree.file("dir/file", "ab")),
        ("gone", |tree| {
            fs::remove_file(tree.path("dir/file")).unwrap();
            tree
        }),
        ("a symlink to the same", |tree| {
            fs::rename(tree.path("dir/file"), tree.path("dir/other")).unwrap();
            tree.symlink("dir/file", "other")
        }),
        ("a pipe", |tree| {
            fs::remove_file(tree.path("dir/file")).unwrap();
            tree.fifo("dir/file")
        }),
    ];
    for (what, change) in changes {
        let place = Place::new();
        place.source().file("dir/file", "abc");
        let manifest = place.read(&["."], "/d/").unwrap();
        change(place.source());
        let error = place.write(&manifest, &SOMEBODY).unwrap_err();
        assert!(
            matches!(&error, CopyError::Changed(path) if path == "dir/file"),
            "{what}: {error}"
        );
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    let place = Place::new();
    let source = place.source().file("file", "");
    let file = fs::File::options()
        .write(true)
        .open(source.path("file"))
        .unwrap();
    // Takes long to read, and no room.
    file.set_len(64 << 20).unwrap();
    let is_over = AtomicBool::new(false);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                file.set_modified(SystemTime::now()).unwrap();
            }
        });
        // Where the other thread does not get a turn, the file is not changed.
        let error = (0..20).find_map(|_| place.read(&["file"], "/file").err());
        is_over.store(true, Ordering::Relaxed);
        error
    });
    assert!(
        matches!(&error, Some(CopyError::Changed(path)) if path == "file"),
        "{error:?}"
    );
}

#[test]
fn files_added_during_the_copy_are_not_copied() {
    let place = Place::new();
    place.source().file("file", "abc");
    let manifest = place.read(&["."], "/d/").unwrap();
    place.source().file("new", "x");
    place.write(&manifest, &SOMEBODY).unwrap();
    assert!(!place.image().path("d/new").exists());
}

#[test]
fn a_file_that_we_may_not_read_is_named() {
    let place = Place::new();
    place
        .source()
        .file_with("open", "x", 0o644)
        .file_with("dir/secret", "x", 0o000);
    fs::set_permissions(place.outside(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        as_an_unprivileged_user(|| place.read(&["."], "/").map(drop)),
        "cannot read \"dir/secret\" in the source: Permission denied (os error 13)"
    );
    fs::set_permissions(place.source().path("dir"), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(
        as_an_unprivileged_user(|| place.read(&["dir"], "/").map(drop)),
        "cannot read \"dir\" in the source: Permission denied (os error 13)"
    );
    assert_eq!(
        as_an_unprivileged_user(|| place.read(&["dir/secret"], "/").map(drop)),
        "cannot read \"dir\" in the source: Permission denied (os error 13)"
    );
}

#[test]
fn a_directory_that_we_may_not_write_to_is_named() {
    let place = Place::new();
    place.source().file_with("file", "x", 0o644);
    place.image().directory("etc", 0o755);
    fs::set_permissions(place.outside(), Permissions::from_mode(0o755)).unwrap();
    let manifest = place.read(&["file"], "/etc/conf.d/").unwrap();
    assert_eq!(
        as_an_unprivileged_user(|| place.write(&manifest, &SOMEBODY)),
        "cannot write \"/etc/conf.d\" in the image: Permission denied (os error 13)"
    );
}

/// A build may make one in no time, and reading it takes days.
#[test]
fn the_copy_of_a_huge_file_can_be_cancelled() {
    let place = Place::new();
    place.source().file("huge", "");
    let huge = fs::File::options()
        .write(true)
        .open(place.source().path("huge"));
    huge.unwrap().set_len(1 << 40).unwrap();
    let cancel = CancellationToken::new();
    let read = std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            copy::read(
                &place.request(&["huge"], "/huge"),
                &place.digests(),
                &cancel,
            )
        });
        cancel.cancel();
        read.join().unwrap()
    });
    assert!(matches!(read, Err(CopyError::Cancelled)));
    place.source().file("small", "x");
    let manifest = place.read(&["small"], "/small").unwrap();
    let written = copy::write(&manifest, &place.image().0, &SOMEBODY, &cancel);
    assert!(matches!(written, Err(CopyError::Cancelled)));
}

/// Does something as a user who owns nothing here, and returns what is wrong with it.
///
/// A thread of its own is that user, and no other.
fn as_an_unprivileged_user(action: impl FnOnce() -> Result<(), CopyError> + Send) -> String {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let nobody = Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            action().unwrap_err().to_string()
        });
        thread.join().unwrap()
    })
}
