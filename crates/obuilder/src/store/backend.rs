//! The differences between stores that keep results as directories.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::caches::Owner;
use super::error::Cannot as _;
use super::trash::Trash;
use super::{StoreError, Usage, tree};

/// A kind of filesystem. A call may take long, and is made on a thread that may block.
///
/// A *place* is the directory of a draft, a result or a copy of a cache: with `rootfs`, or the layers of one, and the
/// files `log`, `env` and `parent`. A call that fails may leave an incomplete place, which the caller removes.
pub(super) trait Backend: Send + Sync + 'static {
    /// Removes the mounts of a killed process, before anything is removed below them.
    fn clean_up(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Creates the draft `place` from the result `base`, or empty, and returns its root filesystem. It has the base's
    /// file `env`, but neither `log` nor `parent` nor `variant`.
    fn begin(&self, place: &Path, base: Option<&Path>) -> Result<PathBuf, StoreError>;

    /// Unmounts a draft or a copy of a cache, so that no process can write to it by any descriptor. Returns `false` if
    /// a process still has a file in it open for writing, in any mount namespace.
    fn unmount(&self, _place: &Path) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// Gives an unmounted draft the form of its result. Returns `true` if that is a copy at `copy`: if the draft
    /// `is_exposed`, other processes may have descriptors by which they can write to it, but not to a copy.
    fn finalize(
        &self,
        place: &Path,
        copy: &Path,
        base: Option<&Path>,
        is_exposed: bool,
    ) -> Result<bool, StoreError>;

    /// Removes a draft or a result. It is no error if there is none.
    fn remove(&self, place: &Path) -> Result<(), StoreError>;

    /// Removes the directory of a killed guest.
    fn remove_guest(&self, guest: &Path) -> Result<(), StoreError> {
        let drafts = guest.join("result-tmp");
        if let Ok(entries) = fs::read_dir(&drafts) {
            for entry in entries {
                self.remove(&entry.cannot("read", &drafts)?.path())?;
            }
        }
        tree::remove(guest).cannot("remove", guest)
    }

    /// Mounts the root filesystem of a result for reading.
    fn view(&self, result: &Path) -> Result<MountedView, StoreError> {
        Ok(MountedView {
            rootfs: result.join("rootfs"),
            mount: None,
        })
    }

    /// Copies the cache `cache` to `copy`, and returns the directory that the step writes to. Creates the
    /// cache if it is missing.
    fn take_cache(&self, cache: &Path, copy: &Path, owner: Owner) -> Result<PathBuf, StoreError>;

    /// Replaces the cache `cache` by an unmounted copy. After a crash, it is the old one or the new one.
    fn replace_cache(&self, cache: &Path, copy: &Path) -> Result<(), StoreError> {
        exchange(copy, cache)?;
        self.remove(copy)
    }

    /// Removes the copy of a cache.
    fn drop_copy(&self, _cache: &Path, copy: &Path) -> Result<(), StoreError> {
        self.remove(copy)
    }

    /// Removes a cache, of which there may be copies.
    fn remove_cache(&self, cache: &Path) -> Result<(), StoreError> {
        self.remove(cache)
    }

    /// Returns whether the cache `cache`, whose directory exists, has any content.
    fn has_cache(&self, _cache: &Path) -> bool {
        true
    }

    /// Makes the filesystem account for pending changes. Called once before several calls of
    /// [`usage`](Self::usage).
    fn prepare_usage(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns the disk usage of the result `result`, without what it shares with its base.
    fn usage(&self, result: &Path, _base: Option<&Path>) -> io::Result<Usage> {
        tree::usage(result, None)
    }

    /// Returns how many deleted results still take space, apart from the trash, and makes the filesystem free them.
    fn being_deleted(&self) -> Result<usize, StoreError> {
        Ok(0)
    }
}

/// The directories of a backend.
pub(super) struct BackendSetup {
    /// The directory of the store.
    pub(super) root: PathBuf,
    /// Its trash.
    pub(super) trash: Arc<Trash>,
}

/// The root filesystem of a view.
#[derive(Debug)]
pub(super) struct MountedView {
    /// Its directory.
    pub(super) rootfs: PathBuf,
    /// The mount to remove afterwards, if there is one.
    pub(super) mount: Option<PathBuf>,
}

/// Returns the path for a copy of a place.
pub(super) fn beside(place: &Path) -> PathBuf {
    let mut path = place.as_os_str().to_owned();
    path.push(".copy");
    path.into()
}

/// Exchanges two trees, atomically where the filesystem supports it.
fn exchange(copy: &Path, cache: &Path) -> Result<(), StoreError> {
    match renameat_with(CWD, copy, CWD, cache, RenameFlags::EXCHANGE) {
        // The cache is lost if this process is killed in between.
        Err(Errno::INVAL | Errno::NOSYS) => {
            let mut aside = copy.as_os_str().to_owned();
            aside.push(".old");
            fs::rename(cache, &aside)
                .and_then(|()| fs::rename(copy, cache))
                .and_then(|()| fs::rename(&aside, copy))
        }
        other => other.map_err(io::Error::from),
    }
    .cannot("publish", cache)
}
