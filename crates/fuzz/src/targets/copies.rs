//! Copies and places for mounts: a source is not left when it is read, nor an image when it is written, whatever both
//! are made of.

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

/// The largest file that is copied. One that is a hole may be of any size, and is read as long as the job may take.
const LARGEST: u64 = 1 << 20;

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
    // Both are what an image would be: links, and names that meet.
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
    if files.iter().any(|(_, size)| *size > LARGEST) {
        return;
    }
    // What is beside the source and the image.
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
        !holds_precious(&image),
        "a file was read that is not in the source"
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
    // Digests are kept below the place that is looked at, so they go to where nothing is.
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

/// Returns whether a file says what only files outside say.
fn holds_precious(directory: &Path) -> bool {
    let mut files = Vec::new();
    add_files(directory, &mut files);
    files.iter().any(|(path, size)| {
        let is_read = *size < 4096;
        is_read && fs::read(path).is_ok_and(|content| content.contains_str("precious"))
    })
}
