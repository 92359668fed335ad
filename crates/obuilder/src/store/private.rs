//! A store is for us alone: the files in it have the owners and set-user-id bits of containers, so whoever can walk into it can
//! be root by any program that an image or a step has made so.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::error::Cannot as _;
use super::{OpenError, StoreError};

/// What others may do to a directory.
const OTHERS: u32 = 0o077;

/// What a mount point has that is empty otherwise.
const LOST_FOUND: &str = "lost+found";

/// Makes the root of a store, or makes sure that nobody else gets into the one that is there. A mount point usually is open to
/// all.
///
/// # Errors
/// When it is another user's, or open to others and has something in it that is not ours to close.
pub(super) fn make(root: &Path) -> Result<(), OpenError> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700).recursive(true);
    builder.create(root).cannot("make", root)?;
    let directory = File::open(root).cannot("open", root)?;
    let found = directory.metadata().cannot("inspect", root)?;
    let owner = found.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(OpenError::Owner {
            root: root.to_owned(),
            owner,
        });
    }
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    if !is_ours(root)? {
        return Err(OpenError::Others {
            root: root.to_owned(),
            mode,
        });
    }
    let closed = directory.set_permissions(Permissions::from_mode(mode & !OTHERS));
    closed.cannot("restrict access to", root)?;
    tracing::warn!(
        "The store {root:?} had the mode {mode:04o}: other users could run set-user-id programs in it. It is 0700 now"
    );
    Ok(())
}

/// Makes sure that nobody else gets into a directory that is ours. It is no error if there is none.
pub(super) fn close(directory: &Path) -> Result<(), StoreError> {
    let found = match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.cannot("inspect", directory)?,
    };
    if found.is_dir() && found.mode() & OTHERS != 0 {
        let mode = Permissions::from_mode(found.mode() & 0o7777 & !OTHERS);
        fs::set_permissions(directory, mode).cannot("restrict access to", directory)?;
    }
    Ok(())
}

/// Returns whether a directory is a store, or has nothing in it.
fn is_ours(root: &Path) -> Result<bool, StoreError> {
    if root.join("result").is_dir() {
        return Ok(true);
    }
    for entry in fs::read_dir(root).cannot("read", root)? {
        let name = entry.cannot("read", root)?.file_name();
        if name != LOST_FOUND {
            return Ok(false);
        }
    }
    Ok(true)
}
