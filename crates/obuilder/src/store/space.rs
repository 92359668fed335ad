//! How much room a filesystem has.

use std::path::Path;

use rustix::fs::{StatVfs, statvfs};

use super::error::Doing as _;
use super::{Space, StoreError};

/// Returns the room at `root`, without what is set aside for the machine's administrator.
pub(super) fn available(root: &Path) -> Result<Space, StoreError> {
    of(root, |found| found.f_bavail)
}

/// Returns the room at `root` by what is in use. On btrfs what is *available* depends on how the disk is divided up, which
/// changes with use, and can be nothing on a disk that is half empty.
pub(super) fn unused(root: &Path) -> Result<Space, StoreError> {
    of(root, |found| found.f_bfree)
}

fn of(root: &Path, free: impl Fn(&StatVfs) -> u64) -> Result<Space, StoreError> {
    let found = statvfs(root).doing("looking at the space of", root)?;
    Ok(Space {
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free: free(&found).saturating_mul(found.f_frsize),
        total_files: found.f_files,
        free_files: found.f_favail.min(found.f_files),
    })
}
