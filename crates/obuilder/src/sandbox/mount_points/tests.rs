//! Tests of mount points: links, mounts and errors.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn ensure_in(root: &Path, path: &str, kind: Kind) -> io::Result<BString> {
    Tree::open(root)?.ensure(path.as_bytes().as_bstr(), kind)
}

#[test]
fn missing_entries_are_created() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    ensure_in(root, "/a/b/file", Kind::File).unwrap();
    ensure_in(root, "/a/b/c/./dir/", Kind::Directory).unwrap();
    assert!(root.join("a/b/file").is_file() && root.join("a/b/c/dir").is_dir());
    let mode = |path| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("a/b"), mode("a/b/file")), (0o755, 0o644));
    // Existing files stay the same.
    fs::write(root.join("a/b/file"), "text").unwrap();
    ensure_in(root, "/a/b/file", Kind::File).unwrap();
    assert_eq!(fs::read(root.join("a/b/file")).unwrap(), b"text");
}

#[test]
fn links_lead_into_the_image_only() {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("root");
    fs::create_dir(&root).unwrap();
    symlink(outside.path(), root.join("absolute")).unwrap();
    symlink("../../../../../..", root.join("relative")).unwrap();
    symlink("../run/resolv.conf", root.join("dangling")).unwrap();
    ensure_in(&root, "/absolute/new", Kind::File).unwrap();
    ensure_in(&root, "/relative/top", Kind::File).unwrap();
    ensure_in(&root, "/dangling", Kind::File).unwrap();
    ensure_in(&root, "../../up", Kind::Directory).unwrap();
    assert!(!outside.path().join("new").exists() && !outside.path().join("up").exists());
    assert!(
        root.join(outside.path().strip_prefix("/").unwrap())
            .join("new")
            .is_file()
    );
    assert!(root.join("top").is_file() && root.join("up").is_dir());
    // The link is the image's own, and stays.
    assert!(root.join("run/resolv.conf").is_file() && root.join("dangling").is_symlink());
}

#[test]
fn nothing_is_created_in_filesystems_of_the_runtime() {
    let root = tempfile::tempdir().unwrap();
    symlink("/proc/self/fd/7", root.path().join("out")).unwrap();
    let resolved = ensure_in(root.path(), "/out", Kind::Directory).unwrap();
    assert_eq!(resolved, "/proc/self/fd/7");
    // The rest is unknown, since there are links.
    let resolved = ensure_in(root.path(), "/out/../../tmp", Kind::Directory).unwrap();
    assert_eq!(resolved, "/proc/self/fd/7/../../tmp");
    for (path, expected) in [("/proc/../x", "/x"), ("/dev/shm/../../y", "/y")] {
        assert_eq!(
            ensure_in(root.path(), path, Kind::Directory).unwrap(),
            expected
        );
    }
    assert!(!root.path().join("proc").exists());
}

#[test]
fn other_entries_on_the_path_are_errors() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::write(root.join("file"), "").unwrap();
    fs::create_dir(root.join("dir")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let error = |path, kind| {
        let error = ensure_in(root, path, kind).unwrap_err();
        Errno::from_io_error(&error).unwrap()
    };
    assert_eq!(error("/file/x", Kind::Directory), Errno::NOTDIR);
    assert_eq!(error("/file", Kind::Directory), Errno::NOTDIR);
    assert_eq!(error("/dir", Kind::File), Errno::ISDIR);
    assert_eq!(error("/loop", Kind::File), Errno::LOOP);
}

#[test]
fn names_lead_into_mounts() {
    let dir = tempfile::tempdir().unwrap();
    let (root, a, b) = (
        dir.path().join("root"),
        dir.path().join("a"),
        dir.path().join("b"),
    );
    for made in [&root, &a, &b] {
        fs::create_dir(made).unwrap();
    }
    symlink("/proc", a.join("p")).unwrap();
    symlink("../..", a.join("up")).unwrap();
    symlink("/a/p", b.join("q")).unwrap();
    let mut tree = Tree::open(&root).unwrap();
    let ensure = |tree: &Tree, path: &str, kind| tree.ensure(path.into(), kind);
    let first = ensure(&tree, "/a", Kind::Directory).unwrap();
    tree.mount(&first, &a).unwrap();
    assert_eq!(ensure(&tree, "/a/p", Kind::Directory).unwrap(), "/proc");
    assert_eq!(ensure(&tree, "/a/up/x", Kind::Directory).unwrap(), "/x");
    let second = ensure(&tree, "/a/new/b", Kind::Directory).unwrap();
    tree.mount(&second, &b).unwrap();
    assert_eq!(ensure(&tree, "/a/new/b/q", Kind::File).unwrap(), "/proc");
    assert_eq!(
        ensure(&tree, "/a/new/b/file", Kind::File).unwrap(),
        "/a/new/b/file"
    );
    assert!(a.join("new/b").is_dir() && b.join("file").is_file() && root.join("x").is_dir());
    assert!(!root.join("a/new").exists());
    // Also below a filesystem that is not mounted yet.
    let shared = ensure(&tree, "/dev/shm/s", Kind::Directory).unwrap();
    assert_eq!(shared, "/dev/shm/s");
    tree.mount(&shared, &a).unwrap();
    assert_eq!(
        ensure(&tree, "/dev/shm/s/p/x", Kind::Directory).unwrap(),
        "/proc/x"
    );
}

#[test]
fn names_do_not_lead_into_hidden_mounts() {
    let dir = tempfile::tempdir().unwrap();
    let (root, plain, links) = (
        dir.path().join("root"),
        dir.path().join("plain"),
        dir.path().join("links"),
    );
    for made in [&root, &plain, &links] {
        fs::create_dir(made).unwrap();
    }
    symlink("/proc", links.join("b")).unwrap();
    let mut tree = Tree::open(&root).unwrap();
    let ensure = |tree: &Tree, path: &str| tree.ensure(path.into(), Kind::Directory).unwrap();
    for target in ["/a/b", "/a/bc", "/ab"] {
        let target = ensure(&tree, target);
        tree.mount(&target, &plain).unwrap();
    }
    let over = ensure(&tree, "/a");
    tree.mount(&over, &links).unwrap();
    assert_eq!(ensure(&tree, "/a/b"), "/proc");
    ensure(&tree, "/a/bc/x");
    ensure(&tree, "/ab/y");
    assert!(links.join("bc/x").is_dir() && !plain.join("x").exists());
    // A mount beside it still exists.
    assert!(plain.join("y").is_dir());
}
