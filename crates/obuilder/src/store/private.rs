//! Keeps other users out of a store. Its files have the owners and set-user-id bits of containers, so a user who can
//! enter it can become root by any set-user-id program of an image or a step.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::error::Cannot as _;
use super::{OpenError, StoreError};

/// The permission bits of other users.
const OTHERS: u32 = 0o077;

/// The only entry of an otherwise empty mount point.
const LOST_FOUND: &str = "lost+found";

/// Creates the root of a store, or makes sure that no other user can enter an existing one. A mount point usually
/// is open to all users.
///
/// # Errors
/// If it belongs to another user, or is open to others and has other files.
pub(super) fn make(root: &Path) -> Result<(), OpenError> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700).recursive(true);
    builder.create(root).cannot("create", root)?;
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
        "Changed the mode of the store {} from {mode:04o} to 0700: other users could run set-user-id programs in it",
        root.display()
    );
    Ok(())
}

/// Makes sure that no other user can enter a directory of ours. It is no error if there is none.
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

/// Returns whether a directory is a store, or is empty.
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
