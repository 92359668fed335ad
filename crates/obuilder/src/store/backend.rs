//! What differs between stores that keep results as directories.

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

/// One kind of filesystem. Every call may take long, and is made on a thread that may wait.
///
/// A *place* is a directory with `rootfs` in it, or with whatever stands for one, and the files `log`, `env` and `parent`.
/// What fails may leave something at the place it was to make; the caller has that removed.
pub(super) trait Backend: Send + Sync + 'static {
    /// Removes what a killed process left of mounts, before anything is removed below them.
    fn clean_up(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Makes the draft `place` from the result `base`, or empty, and returns its root filesystem. Of the base's files it
    /// has `env`, and neither `log` nor `parent` nor `variant`.
    fn begin(&self, place: &Path, base: Option<&Path>) -> Result<PathBuf, StoreError>;

    /// Unmounts a place, draft or copy of a cache, so that nothing can write to it any more, by whatever descriptor. Returns
    /// whether that is so: it is not while something in it is open for writing, in whichever mount namespace.
    fn unmount(&self, _place: &Path) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// Makes an unmounted draft what its result is to be. Returns whether it was copied for that, and the result is at `copy`: if it
    /// `is_exposed`, others may have descriptors by which they can write to it, and to no copy.
    fn settle(
        &self,
        place: &Path,
        copy: &Path,
        base: Option<&Path>,
        is_exposed: bool,
    ) -> Result<bool, StoreError>;

    /// Removes a place, a draft or a result. It is no error if there is none.
    fn remove(&self, place: &Path) -> Result<(), StoreError>;

    /// Removes the directory of somebody who only read the store, and was killed.
    fn remove_guest(&self, guest: &Path) -> Result<(), StoreError> {
        let drafts = guest.join("result-tmp");
        if let Ok(entries) = fs::read_dir(&drafts) {
            for entry in entries {
                self.remove(&entry.cannot("read", &drafts)?.path())?;
            }
        }
        tree::remove(guest).cannot("remove", guest)
    }

    /// Shows the root filesystem of a result.
    fn view(&self, result: &Path) -> Result<Shown, StoreError> {
        Ok(Shown {
            rootfs: result.join("rootfs"),
            mount: None,
        })
    }

    /// Copies the cache `cache`, which is made if need be, to `copy`, and returns the directory that the step writes to.
    fn take_cache(&self, cache: &Path, copy: &Path, owner: Owner) -> Result<PathBuf, StoreError>;

    /// Replaces the cache `cache` by the copy, which is unmounted. After a crash, it is the old or the new.
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

    /// Returns whether there is something in the cache `cache`, whose directory there is.
    fn has_cache(&self, _cache: &Path) -> bool {
        true
    }

    /// Has the filesystem know what results take. Called before [`usage`](Self::usage), once for many.
    fn prepare_usage(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns what the result `result` takes, without what it shares with its base.
    fn usage(&self, result: &Path, _base: Option<&Path>) -> io::Result<Usage> {
        tree::usage(result, None)
    }

    /// Returns how many things that were deleted still take space, apart from what is in the trash; and has the filesystem
    /// make haste.
    fn being_deleted(&self) -> Result<usize, StoreError> {
        Ok(0)
    }
}

/// What a backend is made from.
pub(super) struct Ground {
    /// The directory of the store.
    pub(super) root: PathBuf,
    /// Where to throw things away.
    pub(super) trash: Arc<Trash>,
}

/// What a view shows.
#[derive(Debug)]
pub(super) struct Shown {
    /// The root filesystem.
    pub(super) rootfs: PathBuf,
    /// What to unmount afterwards, if anything.
    pub(super) mount: Option<PathBuf>,
}

/// Returns where to copy a place to.
pub(super) fn beside(place: &Path) -> PathBuf {
    let mut path = place.as_os_str().to_owned();
    path.push(".copy");
    path.into()
}

/// Lets two trees change places, at once where the filesystem can do so.
fn exchange(copy: &Path, cache: &Path) -> Result<(), StoreError> {
    match renameat_with(CWD, copy, CWD, cache, RenameFlags::EXCHANGE) {
        // Then the cache is lost if we are killed in between.
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
