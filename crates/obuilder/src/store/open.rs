//! Opens the store that is wanted.

use std::path::PathBuf;
use std::rc::Rc;

use super::directories::DirectoryStore;
use super::{Store, StoreError, StoreKind, StoreSpec, btrfs, overlay, rsync, xfs, zfs};
use crate::sandbox::SandboxError;

/// Opens a store: makes it if need be, takes its lock, and cleans up what a killed process has left in it.
///
/// # Errors
/// When another process has it, or its filesystem will not do.
pub fn open(spec: &StoreSpec) -> Result<Rc<dyn Store>, OpenError> {
    require_root()?;
    let place = spec.place();
    let root = place.path();
    match (place.kind(), spec.mode()) {
        (StoreKind::Overlayfs, _) => {
            DirectoryStore::open(root, overlay::check, overlay::Overlay::new)
        }
        (StoreKind::Btrfs, _) => DirectoryStore::open(root, btrfs::check, btrfs::Btrfs::new),
        (StoreKind::Xfs, _) => DirectoryStore::open(root, xfs::check, xfs::Reflink::new),
        (StoreKind::Rsync, Some(mode)) => DirectoryStore::open(
            root,
            |_, _| Ok(()),
            |ground| rsync::Rsync::new(ground, mode),
        ),
        (StoreKind::Zfs, _) => zfs::open(root),
        (kind @ (StoreKind::Rsync | StoreKind::Docker | StoreKind::Qemu | StoreKind::Hcs), _) => {
            Err(OpenError::Unsupported(kind))
        }
    }
}

/// Opens a store for reading, also while another process owns it: results can be looked at, and copied into drafts that are thrown
/// away; nothing can be published or removed. `None` where that is not possible, and it must be opened as one's own: there is no
/// store yet, or it is a pool of ZFS.
///
/// # Errors
/// When it may not be read, or there is nowhere to write what is needed for that.
pub fn open_for_reading(spec: &StoreSpec) -> Result<Option<Rc<dyn Store>>, OpenError> {
    require_root()?;
    let place = spec.place();
    let root = place.path();
    match (place.kind(), spec.mode()) {
        (StoreKind::Overlayfs, _) => {
            DirectoryStore::open_for_reading(root, overlay::Overlay::beside)
        }
        (StoreKind::Btrfs, _) => DirectoryStore::open_for_reading(root, btrfs::Btrfs::new),
        (StoreKind::Xfs, _) => DirectoryStore::open_for_reading(root, xfs::Reflink::new),
        (StoreKind::Rsync, Some(mode)) => {
            DirectoryStore::open_for_reading(root, |ground| rsync::Rsync::new(ground, mode))
        }
        _ => Ok(None),
    }
}

fn require_root() -> Result<(), OpenError> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(OpenError::NotRoot),
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Only root can give files to the users of containers, and mount what steps work in.
    #[error(
        "opening a store requires root: its files belong to the users of containers; run this program as root, with sudo for example"
    )]
    NotRoot,
    /// Another process has it.
    #[error(
        "the store {root:?} is in use by {owner}: give this process another, or end that one; `obuilder ls`, `log`, `export`, \
         `shell`, `df`, `cache ls` and `image` work meanwhile"
    )]
    InUse {
        /// The store.
        root: PathBuf,
        /// What it says of itself: a program and its process id.
        owner: String,
    },
    /// It belongs to somebody else, who could do with its files as they like.
    #[error(
        "the store {root:?} belongs to the user {owner}: give it a directory of its own, or `chown` it to the user of this process"
    )]
    Owner {
        /// The store.
        root: PathBuf,
        /// The number of its owner.
        owner: u32,
    },
    /// Others can get into it, and there is more in it than a store.
    #[error(
        "the store {root:?} has the mode {mode:04o}, so that other users could run set-user-id programs in it, and has other \
         files in it, too: give the store a directory of its own, or `chmod 700` this one"
    )]
    Others {
        /// The store.
        root: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is no such store here.
    #[error(
        "no {} stores here: use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool",
        .0.as_str()
    )]
    Unsupported(StoreKind),
    /// The filesystem lacks what this kind of store is made of.
    #[error("{root:?} is on {filesystem}, which {lacks}: {advice}")]
    Filesystem {
        /// The store.
        root: PathBuf,
        /// Its filesystem's name.
        filesystem: String,
        /// What it cannot do: "has no subvolumes".
        lacks: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// There is no directory of the ZFS dataset.
    #[error(
        "cannot use the ZFS dataset {dataset:?}: {problem}; use a dataset that `zfs list` shows as mounted at {root:?}, or another store such as overlayfs:/path"
    )]
    NoDataset {
        /// The dataset.
        dataset: String,
        /// Where it should be mounted.
        root: PathBuf,
        /// What is missing.
        problem: &'static str,
    },
    /// The kernel is too old for btrfs.
    #[error(
        "You need at least linux 5.8 to use the btrfs backend, but current kernel version is '{}.{}'",
        .0.0, .0.1
    )]
    Kernel((u32, u32)),
    /// Something that a killed process has started in it does not end.
    #[error(transparent)]
    Running(#[from] SandboxError),
    /// Something failed while it was opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}
