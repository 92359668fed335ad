//! Reads a store beside the process that owns it, such as a worker.
//!
//! Results never change, so a process that only reads, a *guest*, needs no lock on the store. Its temporary files, such
//! as copies of results and mounts of views, are in a directory of its own, `guests/NAME`, whose `lock` it holds. The
//! owner removes directories without a lock when it next opens the store. A guest also holds a shared lock on the
//! directory of each result that it reads and of all its bases, and the owner removes no result that is locked.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::backend::Backend;
use super::error::{Cannot as _, ignore};
use super::layout::{base_of, names_in};
use super::{OpenError, StoreError, tree};
use crate::sandbox;

/// The directory of a guest, which exists while this does.
#[derive(Debug)]
pub(super) struct Guest {
    dir: PathBuf,
    _lock: File,
}

impl Guest {
    /// Creates the directory: in the store, or among the temporary files if the store has no room.
    pub(super) fn enter(root: &Path) -> Result<Self, StoreError> {
        let entered = Self::enter_below(root);
        match entered {
            Err(StoreError::Full { .. }) => Self::make_in(&std::env::temp_dir()),
            entered => entered,
        }
    }

    fn enter_below(root: &Path) -> Result<Self, StoreError> {
        let guests = guests(root);
        let made = DirBuilder::new().mode(0o700).create(&guests);
        ignore(io::ErrorKind::AlreadyExists, made).cannot("create", &guests)?;
        // Before it is locked, the owner must not take it for one that a killed process left.
        let _gate = gate(&guests, FlockOperation::LockShared)?;
        Self::make_in(&guests)
    }

    fn make_in(parent: &Path) -> Result<Self, StoreError> {
        let prefix = format!("obuilder-{}-", std::process::id());
        let made = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent);
        let dir = made.cannot("create a directory in", parent)?.keep();
        let path = dir.join("lock");
        let lock = File::create(&path).cannot("create", &path)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).cannot("lock", &path)?;
        Ok(Self { dir, _lock: lock })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Remaining files are removed when the store is next opened.
        if let Err(error) = tree::remove(&self.dir) {
            tracing::debug!("Cannot remove {}: {error}", self.dir.display());
        }
    }
}

/// Removes the directories of killed guests.
pub(super) fn clear<B: Backend>(root: &Path, backend: &B) -> Result<(), OpenError> {
    let guests = guests(root);
    if !guests.exists() {
        return Ok(());
    }
    let _gate = gate(&guests, FlockOperation::LockExclusive)?;
    for name in names_in(&guests)? {
        let guest = guests.join(name);
        let lock = File::open(guest.join("lock"));
        let is_there = lock.is_ok_and(|lock| {
            flock(&lock, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
        });
        if !is_there {
            sandbox::cleanup(&guest.join("state"))?;
            backend.remove_guest(&guest)?;
        }
    }
    Ok(())
}

/// Returns the directory of the guests of the store `root`.
fn guests(root: &Path) -> PathBuf {
    root.join("guests")
}

fn gate(guests: &Path, operation: FlockOperation) -> Result<File, StoreError> {
    let gate = File::open(guests).cannot("open", guests)?;
    flock(&gate, operation).cannot("lock", guests)?;
    Ok(gate)
}

/// Prevents the removal of a result and of all its bases while the returned locks exist. `None` if it no longer exists.
pub(super) fn keep(result: &Path) -> Result<Option<Vec<File>>, StoreError> {
    let mut kept = Vec::new();
    let mut next = Some(result.to_owned());
    while let Some(dir) = next {
        let Some(lock) = lock(&dir, FlockOperation::NonBlockingLockShared)? else {
            return Ok(None);
        };
        kept.push(lock);
        next = base_of(&dir)?.map(|base| dir.with_file_name(base.to_string()));
    }
    Ok(Some(kept))
}

/// Makes sure that no guest reads a result, which is about to be removed, while the returned lock exists.
///
/// # Errors
/// [`StoreError::BeingRead`] if a guest does.
pub(super) fn claim(result: &Path) -> Result<Option<File>, StoreError> {
    match File::open(result) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => {
            let opened = opened.cannot("open", result)?;
            match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => Err(StoreError::BeingRead(result.to_owned())),
                locked => locked.cannot("lock", result).map(|()| Some(opened)),
            }
        }
    }
}

/// Locks a directory that may be removed at the same time. `None` if it no longer exists.
fn lock(dir: &Path, operation: FlockOperation) -> Result<Option<File>, StoreError> {
    let opened = match File::open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.cannot("open", dir)?,
    };
    match flock(&opened, operation) {
        // It is being removed.
        Err(Errno::WOULDBLOCK) => return Ok(None),
        locked => locked.cannot("lock", dir)?,
    }
    let now = match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        now => now.cannot("inspect", dir)?,
    };
    let locked = opened.metadata().cannot("inspect", dir)?;
    let is_same = (now.dev(), now.ino()) == (locked.dev(), locked.ino());
    Ok(is_same.then_some(opened))
}
