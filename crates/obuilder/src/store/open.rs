//! Opens a store.

use std::rc::Rc;

use super::directories::DirectoryStore;
use super::error::OpenError;
use super::{Store, StoreKind, StoreSpec, btrfs, overlay, rsync, xfs, zfs};

/// Opens a store: creates it if it is missing, takes its lock, and removes files that a killed process left in it.
///
/// # Errors
/// If another process has it, or its filesystem is not suitable.
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
        (StoreKind::Rsync, Some(mode)) => {
            DirectoryStore::open(root, |_, _| Ok(()), |setup| rsync::Rsync::new(setup, mode))
        }
        (StoreKind::Zfs, _) => zfs::open(root),
        (kind @ (StoreKind::Rsync | StoreKind::Docker | StoreKind::Qemu | StoreKind::Hcs), _) => {
            Err(OpenError::Unsupported(kind))
        }
    }
}

/// Opens a store for reading, even while another process owns it. You can read results, and copy them into temporary
/// drafts; you cannot publish or remove any. Returns `None` if you must [`open`] it instead: there is no store yet, or
/// it is a pool of ZFS.
///
/// # Errors
/// If it cannot be read, or there is no room for the files that reading needs.
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
            DirectoryStore::open_for_reading(root, |setup| rsync::Rsync::new(setup, mode))
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
