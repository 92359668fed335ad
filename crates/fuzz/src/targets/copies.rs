//! Copies and mount points: reading never leaves the source and writing never leaves the image, whatever they contain.

use std::fs;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice as _};
use obuilder::copy::{Digests, Request, read, write};
use obuilder::fuzzing::mount_points;
use obuilder_spec::User;
use oci::Limits;
use oci::fuzzing::unpack;
use tokio_util::sync::CancellationToken;

use super::guarded::Guarded;
use super::members::archives;
use crate::input::Input;
use crate::scratch;

/// The largest file that is copied, in bytes. A sparse file may have any size, and takes long to read.
const MAX_FILE_SIZE: u64 = 1 << 20;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let names: Vec<BString> = (0..4).map(|_| name(&mut input)).collect();
    let is_mount = input.flag();
    let is_file = input.flag();
    let around = scratch::directory();
    let guarded = Guarded::new(around.path());
    let rootfs = around.path().join("rootfs");
    let source = rootfs.join("source");
    let image = rootfs.join("image");
    fs::create_dir(&source).expect("a directory to copy from");
    fs::create_dir(&image).expect("a directory to copy to");
    // Both have the content of images: links, and names that collide.
    for (directory, archive) in [&source, &image].into_iter().zip(archives(&mut input)) {
        let limits = Limits {
            entries: 100,
            unpacked: 1 << 20,
            ..Limits::default()
        };
        drop(unpack(directory, limits, vec![scratch::file(&archive)]));
    }
    let mut files = Vec::new();
    add_files(&source, &mut files);
    if files.iter().any(|(_, size)| *size > MAX_FILE_SIZE) {
        return;
    }
    // A file beside the source and the image.
    fs::write(rootfs.join("beside"), "precious").expect("a file beside them");
    if is_mount {
        let paths: Vec<&BStr> = names.iter().map(|name| name.as_ref()).collect();
        let (file, paths) = paths.split_first().expect("there are names");
        drop(mount_points(
            &image,
            &source,
            paths,
            is_file.then_some(*file),
        ));
    } else {
        copy(&source, &image, &names, around.path());
    }
    guarded.check();
    let mut left: Vec<_> = fs::read_dir(&rootfs)
        .expect("it can be read")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["beside", "image", "source"]);
    assert!(
        !has_precious_text(&image),
        "a file outside of the source was read"
    );
}

fn name(input: &mut Input<'_>) -> BString {
    let names = [
        "a",
        "b",
        "a/b",
        "/",
        ".",
        "..",
        "../beside",
        "a/../../beside",
        "l/x",
        "d/",
        "c",
        "*",
        "",
        "/a/b/c/",
    ];
    match names.get(usize::from(input.byte())) {
        Some(name) => (*name).into(),
        None => input.piece(40).into(),
    }
}

fn copy(source: &Path, image: &Path, names: &[BString], state: &Path) {
    let [first, second, dst, excluded] = names else {
        return;
    };
    let several = dst.ends_with(b"/");
    let request = Request {
        root: source.to_owned(),
        src: [first.clone()]
            .into_iter()
            .chain(several.then(|| second.clone()))
            .collect(),
        dst: dst.clone(),
        exclude: vec![excluded.clone()],
    };
    let never = CancellationToken::new();
    // Digests are kept in a directory that does not exist, so that they do not change what is checked.
    let digests = Digests::new(&state.join("outside/none"));
    if let Ok(manifest) = read(&request, &digests, &never) {
        let owner = User::Unix {
            uid: 1000,
            gid: 1000,
        };
        drop(write(&manifest, image, &owner, &never));
    }
}

/// Adds the files in a directory and below it, and their sizes.
fn add_files(directory: &Path, files: &mut Vec<(PathBuf, u64)>) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let Ok(data) = fs::symlink_metadata(entry.path()) else {
            continue;
        };
        if data.is_dir() {
            add_files(&entry.path(), files);
        } else if data.is_file() {
            files.push((entry.path(), data.len()));
        }
    }
}

/// Returns whether a file contains the text of the files outside.
fn has_precious_text(directory: &Path) -> bool {
    let mut files = Vec::new();
    add_files(directory, &mut files);
    files.iter().any(|(path, size)| {
        let is_read = *size < 4096;
        is_read && fs::read(path).is_ok_and(|content| content.contains_str("precious"))
    })
}
