//! The directories of a store that keeps results as directories, and what is put right in them when it is opened.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::backend::Backend;
use super::background::Background;
use super::caches::cache_of;
use super::error::{Cannot as _, unless};
use super::lock::{Lock, Locked};
use super::marks::Marks;
use super::{OpenError, StoreError, private};
use crate::StepId;

const DIRECTORIES: [&str; 7] = [
    "result",
    "result-tmp",
    "cache",
    "cache-tmp",
    "state",
    "trash",
    "unsynced",
];

/// Takes the lock of a store.
pub(super) fn own(root: &Path) -> Result<Lock, OpenError> {
    let path = root.join("lock");
    match Lock::take(&path).cannot("lock", &path)? {
        Locked::Ours(lock) => Ok(lock),
        Locked::Taken(owner) => Err(OpenError::InUse {
            root: root.to_owned(),
            owner,
        }),
    }
}

/// Makes the directories of a store that are not there yet.
pub(super) fn make_directories(root: &Path) -> Result<(), StoreError> {
    for name in DIRECTORIES {
        let path = root.join(name);
        let made = unless(io::ErrorKind::AlreadyExists, fs::create_dir(&path));
        made.cannot("make", &path)?;
    }
    // It has secrets in it while they are used. Those before it are closed by the root alone.
    private::close(&root.join("state"))
}

/// Removes drafts and copies of caches: nobody works on them any more.
pub(super) fn remove_leftovers<B: Backend>(root: &Path, backend: &B) -> Result<(), StoreError> {
    let drafts = root.join("result-tmp");
    for name in names_in(&drafts)? {
        backend.remove(&drafts.join(name))?;
    }
    let copies = root.join("cache-tmp");
    for name in names_in(&copies)? {
        let copy = copies.join(&name);
        match name.split_once('-') {
            Some((_, cache)) if cache_of(cache).is_some() => {
                backend.drop_copy(&root.join("cache").join(cache), &copy)?;
            }
            _ => backend.remove(&copy)?,
        }
    }
    Ok(())
}

/// Removes what a loss of power may have damaged.
pub(super) fn judge<B: Backend>(
    root: &Path,
    backend: &B,
    background: &Background,
) -> Result<Marks, StoreError> {
    let (marks, doubts) = Marks::open(root, background).cannot("read the marks in", root)?;
    for doubt in doubts {
        for name in &doubt.names {
            if name.parse::<StepId>().is_ok() {
                backend.remove(&root.join("result").join(name))?;
            } else if cache_of(name).is_some() {
                backend.remove_cache(&root.join("cache").join(name))?;
            }
        }
        doubt.settle().cannot("remove the marks in", root)?;
    }
    Ok(marks)
}

/// Makes a directory with the mode of a root directory, whatever the umask of the process.
pub(super) fn make_directory(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir(dir)
        .and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o755)))
        .cannot("make", dir)
}

/// Returns the names in a directory.
pub(super) fn names_in(dir: &Path) -> Result<Vec<String>, StoreError> {
    let names = fs::read_dir(dir).and_then(|entries| {
        // What is not text is not ours.
        entries
            .map(|entry| Ok(entry?.file_name().into_string().ok()))
            .filter_map(Result::transpose)
            .collect()
    });
    names.cannot("read", dir)
}

/// Returns what a result says that it was made from. `None` also for a result of upstream's that does not say.
pub(super) fn base_of(result: &Path) -> Result<Option<StepId>, StoreError> {
    match fs::read_link(result.join("parent")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).cannot("read the parent of", result),
        Ok(target) => Ok(target
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok())),
    }
}
