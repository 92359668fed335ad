//! Results as trees whose files share their blocks: on XFS, and on other filesystems that support it (btrfs, bcachefs).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::statfs;
use rustix::io::Errno;

use super::backend::{Backend, BackendSetup};
use super::caches::Owner;
use super::error::Cannot as _;
use super::layout::make_directory as make;
use super::trash::Trash;
use super::{OpenError, StoreError, Usage, filesystem, tree};

/// Results as trees of shared blocks.
#[derive(Debug)]
pub(super) struct Reflink {
    trash: Arc<Trash>,
}

impl Reflink {
    /// Returns the backend for the store with these directories.
    pub(super) fn new(setup: BackendSetup) -> Self {
        Self { trash: setup.trash }
    }
}

impl Backend for Reflink {
    fn begin(&self, place: &Path, base: Option<&Path>) -> Result<PathBuf, StoreError> {
        let rootfs = place.join("rootfs");
        make(place)?;
        match base {
            None => make(&rootfs)?,
            Some(base) => {
                tree::copy_if_there(&base.join("env"), &place.join("env")).cannot("copy", base)?;
                tree::reflink_tree(&base.join("rootfs"), &rootfs).cannot("copy", base)?;
            }
        }
        Ok(rootfs)
    }

    fn finalize(
        &self,
        place: &Path,
        copy: &Path,
        _base: Option<&Path>,
        is_exposed: bool,
    ) -> Result<bool, StoreError> {
        if is_exposed {
            tree::reflink_tree(place, copy).cannot("copy", place)?;
        }
        Ok(is_exposed)
    }

    fn remove(&self, place: &Path) -> Result<(), StoreError> {
        self.trash.put(place).cannot("remove", place)
    }

    fn take_cache(&self, cache: &Path, copy: &Path, owner: Owner) -> Result<PathBuf, StoreError> {
        if !cache.exists() {
            make(cache)?;
        }
        tree::reflink_tree(cache, copy).cannot("copy", cache)?;
        owner.give(copy)?;
        Ok(copy.to_owned())
    }

    fn usage(&self, result: &Path, base: Option<&Path>) -> io::Result<Usage> {
        tree::usage(result, base.map(|base| (base, tree::Sharing::Blocks)))
    }
}

/// Checks, for a new store, whether files can share their blocks at `root`.
pub(super) fn check(root: &Path, is_new: bool) -> Result<(), OpenError> {
    if !is_new {
        return Ok(());
    }
    let [from, to] = ["trying-reflink.1", "trying-reflink.2"].map(|name| root.join(name));
    fs::write(&from, "x").cannot("write", &from)?;
    let shared = File::open(&from)
        .and_then(|from| tree::reflink(&from, &File::create(&to)?))
        .map_err(|error| Errno::from_io_error(&error));
    for path in [&from, &to] {
        fs::remove_file(path).cannot("remove", path)?;
    }
    match shared {
        Ok(()) => Ok(()),
        Err(_) => Err(OpenError::Filesystem {
            root: root.to_owned(),
            filesystem: filesystem::name(statfs(root).cannot("inspect", root)?.f_type),
            lacks: "cannot share blocks between files",
            advice: "put the store on xfs or btrfs, or use overlayfs:/path",
        }),
    }
}
