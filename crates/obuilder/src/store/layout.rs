//! The directories of a store that keeps results as directories, and their cleanup when it is opened.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::backend::Backend;
use super::background::Background;
use super::caches::cache_of;
use super::error::{Cannot as _, ignore};
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
pub(super) fn take_lock(root: &Path) -> Result<Lock, OpenError> {
    let path = root.join("lock");
    match Lock::take(&path).cannot("lock", &path)? {
        Locked::Ours(lock) => Ok(lock),
        Locked::Taken(owner) => Err(OpenError::InUse {
            root: root.to_owned(),
            owner,
        }),
    }
}

/// Creates the missing directories of a store.
pub(super) fn make_directories(root: &Path) -> Result<(), StoreError> {
    for name in DIRECTORIES {
        let path = root.join(name);
        let made = ignore(io::ErrorKind::AlreadyExists, fs::create_dir(&path));
        made.cannot("create", &path)?;
    }
    // It has secrets while they are used. The root protects the other directories.
    private::close(&root.join("state"))
}

/// Removes the drafts and copies of caches of a killed process.
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

/// Removes results and caches that a power cut may have damaged.
pub(super) fn remove_damaged<B: Backend>(
    root: &Path,
    backend: &B,
    background: &Background,
) -> Result<Marks, StoreError> {
    let (marks, stale) = Marks::open(root, background).cannot("read the marks in", root)?;
    for old in stale {
        for name in &old.names {
            if name.parse::<StepId>().is_ok() {
                backend.remove(&root.join("result").join(name))?;
            } else if cache_of(name).is_some() {
                backend.remove_cache(&root.join("cache").join(name))?;
            }
        }
        old.remove().cannot("remove the marks in", root)?;
    }
    Ok(marks)
}

/// Creates a directory with the mode of a root directory, whatever the umask of the process.
pub(super) fn make_directory(dir: &Path) -> Result<(), StoreError> {
    fs::create_dir(dir)
        .and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o755)))
        .cannot("create", dir)
}

/// Returns the names in a directory.
pub(super) fn names_in(dir: &Path) -> Result<Vec<String>, StoreError> {
    let names = fs::read_dir(dir).and_then(|entries| {
        // A name that is not UTF-8 is not of this program.
        entries
            .map(|entry| Ok(entry?.file_name().into_string().ok()))
            .filter_map(Result::transpose)
            .collect()
    });
    names.cannot("read", dir)
}

/// Returns the base of a result, as it records it. `None` also for a result of upstream that does not.
pub(super) fn base_of(result: &Path) -> Result<Option<StepId>, StoreError> {
    match fs::read_link(result.join("parent")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).cannot("read the parent of", result),
        Ok(target) => Ok(target
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok())),
    }
}
