//! What is in the image afterwards.
//!
//! Each line shows a mode, an owner, a time of change, and a path. All that was there before, in the source and in the
//! image, was changed "then+"; "then" is the same in whole seconds.

use std::os::unix::fs::MetadataExt as _;

use expect_test::{Expect, expect};
use obuilder_spec::User;

use crate::tree::{Place, SOMEBODY};

fn check(place: &Place, expected: &Expect) {
    expected.assert_eq(&place.image().show());
}

#[test]
fn only_whether_a_file_can_be_executed_is_kept_of_its_mode() {
    let place = Place::new();
    place
        .source()
        .file_with("plain", "1", 0o600)
        .file_with("group", "2", 0o670)
        .file_with("open", "3", 0o666)
        .file_with("setuid", "4", 0o4711)
        .symlink("link", "../nowhere")
        .directory("private", 0o700);
    place.copy(&["."], "/").unwrap();
    check(
        &place,
        &expect![[r#"
            0755 1000:100 then group "2"
            0777 1000:100 then link -> ../nowhere
            0644 1000:100 then open "3"
            0644 1000:100 then plain "1"
            0755 1000:100 then private/
            0755 1000:100 then setuid "4""#]],
    );
}

#[test]
fn holes_stay_holes() {
    let place = Place::new();
    let path = place.source().file("sparse", "begin").path("sparse");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 32 << 20).unwrap();
    place.copy(&["sparse"], "/").unwrap();
    let copy = place.image().path("sparse");
    let metadata = copy.metadata().unwrap();
    let taken = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    assert!(taken < 4 << 20, "{taken} bytes are taken");
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(&path).unwrap());
}

#[test]
fn directories_on_the_way_are_made() {
    let place = Place::new();
    place.source().file("a/b/file", "x").file("c", "y");
    place.copy(&["a/b", "c"], "/opt//./new/").unwrap();
    place.copy(&["c"], "srv/renamed").unwrap();
    place.copy(&["a"], "C:/whole").unwrap();
    check(
        &place,
        &expect![[r#"
            0755 1000:100 0 opt/
            0755 1000:100 0 opt/new/
            0755 1000:100 then opt/new/b/
            0644 1000:100 then opt/new/b/file "x"
            0644 1000:100 then opt/new/c "y"
            0755 1000:100 0 srv/
            0644 1000:100 then srv/renamed "y"
            0755 1000:100 then whole/
            0755 1000:100 then whole/b/
            0644 1000:100 then whole/b/file "x""#]],
    );
}

#[test]
fn the_entries_of_the_source_root_are_copied() {
    let place = Place::new();
    place.source().file("file", "x");
    place.copy(&["."], "/new/").unwrap();
    place.copy(&["."], "/single").unwrap();
    check(
        &place,
        &expect![[r#"
            0755 1000:100 then new/
            0644 1000:100 then new/file "x"
            0755 1000:100 then single/
            0644 1000:100 then single/file "x""#]],
    );
}

#[test]
fn directories_of_the_image_stay_as_they_are() {
    let place = Place::new();
    place
        .image()
        .directory("tmp", 0o1777)
        .directory("usr/local/bin", 0o700)
        .date("usr/local/bin");
    place
        .source()
        .file("usr/local/bin/tool", "x")
        .file("file", "y");
    place.copy(&["file"], "/tmp/").unwrap();
    place.copy(&["."], "/").unwrap();
    place.copy(&["file"], "/usr/new/file").unwrap();
    check(
        &place,
        &expect![[r#"
            0644 1000:100 then file "y"
            1777 0:0 then+ tmp/
            0644 1000:100 then tmp/file "y"
            0755 0:0 then+ usr/
            0755 0:0 then+ usr/local/
            0700 0:0 then+ usr/local/bin/
            0644 1000:100 then usr/local/bin/tool "x"
            0755 1000:100 0 usr/new/
            0644 1000:100 then usr/new/file "y""#]],
    );
}

#[test]
fn new_files_inherit_nothing_from_their_directory() {
    let place = Place::new();
    place.image().directory("shared", 0o2775);
    place.source().file("dir/file", "x");
    place.copy(&["dir"], "/shared/new/").unwrap();
    check(
        &place,
        &expect![[r#"
        2775 0:0 then+ shared/
        0755 1000:100 0 shared/new/
        0755 1000:100 then shared/new/dir/
        0644 1000:100 then shared/new/dir/file "x""#]],
    );
}

#[test]
fn symlinks_to_directories_are_followed() {
    let place = Place::new();
    place
        .image()
        .directory("our/lib", 0o755)
        .symlink("lib", "our/lib")
        .symlink("absolute", "/our")
        .symlink("up", "../../../../our/./lib")
        .symlink("our/twice", "../absolute/lib");
    place.source().file("lib/a", "a").file("b", "b");
    // In the path of the destination, and in the tree that is copied.
    place.copy(&["b"], "/lib/").unwrap();
    place.copy(&["."], "/").unwrap();
    place.copy(&["b"], "/absolute/lib/c").unwrap();
    place.copy(&["b"], "/up/d").unwrap();
    place.copy(&["b"], "/our/twice/deep/").unwrap();
    check(
        &place,
        &expect![[r#"
            0777 0:0 then+ absolute -> /our
            0644 1000:100 then b "b"
            0777 0:0 then+ lib -> our/lib
            0755 0:0 then+ our/
            0755 0:0 then+ our/lib/
            0644 1000:100 then our/lib/a "a"
            0644 1000:100 then our/lib/b "b"
            0644 1000:100 then our/lib/c "b"
            0644 1000:100 then our/lib/d "b"
            0755 1000:100 0 our/lib/deep/
            0644 1000:100 then our/lib/deep/b "b"
            0777 0:0 then+ our/twice -> ../absolute/lib
            0777 0:0 then+ up -> ../../../../our/./lib"#]],
    );
}

#[test]
fn files_and_symlinks_are_replaced_and_directories_merged() {
    let place = Place::new();
    place
        .image()
        .file_with("file", "old, and longer", 0o4755)
        .symlink("link", "file")
        .symlink("dir-link", "dir")
        .file("dir/kept", "kept")
        .file("dir/sub/kept", "kept")
        .directory("empty", 0o755)
        .file("was-file", "old")
        .symlink("dangling", "nowhere")
        .symlink("circle", "circle")
        .symlink("to-file", "file");
    place
        .source()
        .file("file", "new")
        .file("link", "no longer a link")
        .symlink("dir-link", "no longer that link")
        .file("dir/sub/new", "new")
        .file("empty", "no longer a directory")
        .file("was-file/new", "new")
        .file("dangling/new", "new")
        .file("circle/new", "new")
        .file("to-file/new", "new");
    place.copy(&["."], "/").unwrap();
    check(
        &place,
        &expect![[r#"
            0755 1000:100 then circle/
            0644 1000:100 then circle/new "new"
            0755 1000:100 then dangling/
            0644 1000:100 then dangling/new "new"
            0755 0:0 then+ dir/
            0600 0:0 then+ dir/kept "kept"
            0755 0:0 then+ dir/sub/
            0600 0:0 then+ dir/sub/kept "kept"
            0644 1000:100 then dir/sub/new "new"
            0777 1000:100 then dir-link -> no longer that link
            0644 1000:100 then empty "no longer a directory"
            0644 1000:100 then file "new"
            0644 1000:100 then link "no longer a link"
            0755 1000:100 then to-file/
            0644 1000:100 then to-file/new "new"
            0755 1000:100 then was-file/
            0644 1000:100 then was-file/new "new""#]],
    );
}

#[test]
fn a_file_with_two_names_changes_under_one() {
    let place = Place::new();
    place.image().file("file", "old");
    std::fs::hard_link(place.image().path("file"), place.image().path("other")).unwrap();
    place.source().file("file", "new");
    place.copy(&["file"], "/").unwrap();
    check(
        &place,
        &expect![[r#"
            0644 1000:100 then file "new"
            0600 0:0 then+ other "old""#]],
    );
}

#[test]
fn a_directory_that_is_not_empty_does_not_give_way_to_a_file() {
    let place = Place::new();
    place.image().file("etc/passwd", "");
    place.source().file("etc", "a file").symlink("link", "x");
    let error =
        "cannot replace \"/etc\" by a file: it is a directory in the image that is not empty";
    assert_eq!(place.copy(&["etc"], "/").unwrap_err(), error);
    assert_eq!(place.copy(&["link"], "/etc").unwrap_err(), error);
    assert_eq!(
        place.copy(&["etc"], "/.").unwrap_err(),
        error.replace("/etc", "/")
    );
}

#[test]
fn sources_of_one_name_are_merged() {
    let place = Place::new();
    place
        .source()
        .file("1/name/a", "1")
        .file("1/name/b", "1")
        .file("2/name/b", "2")
        .file("2/name/c", "2");
    place.copy(&["1/name", "2/name"], "/d/").unwrap();
    check(
        &place,
        &expect![[r#"
            0755 1000:100 0 d/
            0755 1000:100 then d/name/
            0644 1000:100 then d/name/a "1"
            0644 1000:100 then d/name/b "2"
            0644 1000:100 then d/name/c "2""#]],
    );
}

#[test]
fn long_names_and_deep_directories_are_copied() {
    let place = Place::new();
    let source = place.source();
    for length in [80, 160, 204, 255] {
        std::fs::write(source.path(&"n".repeat(length)), "x").unwrap();
    }
    // 40 directories with names of 200 bytes: a path of 8,000, which no system call takes.
    deep::make(&source.0, 40, 200);
    place.copy(&["."], "/d/").unwrap();
    assert_eq!(deep::reach(&place.image().path("d"), 200), 40);
    for length in [80, 160, 204, 255] {
        assert!(place.image().path("d").join("n".repeat(length)).exists());
    }
    deep::remove(&source.0, 200);
    deep::remove(&place.image().path("d"), 200);
}

#[test]
fn directories_without_end_are_refused() {
    let place = Place::new();
    deep::make(&place.source().0, 300, 1);
    let error = place.copy(&["."], "/d/").unwrap_err();
    let deepest = vec!["d"; 257].join("/");
    assert_eq!(
        error,
        format!("cannot copy \"{deepest}\": more than 256 nested directories")
    );
}

#[test]
fn windows_users_have_numbers() {
    let place = Place::new();
    place.source().file("file", "x");
    let manifest = place.read(&["file"], "/file").unwrap();
    for (name, id) in [("ContainerAdministrator", 0x5D001), ("opam", 0)] {
        place.write(&manifest, &User::Named(name.into())).unwrap();
        let metadata = place.image().path("file").metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (id, id), "{name}");
    }
    let nobody = User::Unix { uid: -1, gid: 0 };
    let error = place.write(&manifest, &nobody).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot give files to the user -1:0: ids go from 0 to 4294967294"
    );
    place.write(&manifest, &SOMEBODY).unwrap();
}

/// Directories so deep that their paths are too long for the system.
mod deep {
    use std::path::Path;

    use rustix::fd::OwnedFd;
    use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, open, openat, unlinkat};

    const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

    fn top(path: &Path) -> OwnedFd {
        open(path, FLAGS, Mode::empty()).unwrap()
    }

    /// Makes so many directories in one another, with names of this length.
    pub(super) fn make(path: &Path, depth: usize, length: usize) {
        let name = "d".repeat(length);
        let mut directory = top(path);
        for _ in 0..depth {
            mkdirat(&directory, &name, Mode::from_raw_mode(0o755)).unwrap();
            directory = openat(&directory, &name, FLAGS, Mode::empty()).unwrap();
        }
    }

    /// Returns how many there are.
    pub(super) fn reach(path: &Path, length: usize) -> usize {
        all(path, length).len() - 1
    }

    fn all(path: &Path, length: usize) -> Vec<OwnedFd> {
        let name = "d".repeat(length);
        let mut directories = vec![top(path)];
        while let Ok(next) = openat(directories.last().unwrap(), &name, FLAGS, Mode::empty()) {
            directories.push(next);
        }
        directories
    }

    /// Removes them, which not everything can that removes directories.
    pub(super) fn remove(path: &Path, length: usize) {
        let mut directories = all(path, length);
        directories.pop();
        for parent in directories.iter().rev() {
            unlinkat(parent, "d".repeat(length), AtFlags::REMOVEDIR).unwrap();
        }
    }
}
