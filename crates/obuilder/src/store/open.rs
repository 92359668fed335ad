//! Opens the store that is wanted.

use std::rc::Rc;

use super::directories::DirectoryStore;
use super::error::OpenError;
use super::{Store, StoreKind, StoreSpec, btrfs, overlay, rsync, xfs, zfs};

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
