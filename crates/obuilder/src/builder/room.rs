//! Checks whether there is room left on the disk of a store.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::store::Store;

/// The least room that a step needs to continue, in bytes.
const LEAST: u64 = 64 << 10;

/// Returns whether the disk has no room left for a step that works in `dir`, in the store: no bytes or no files.
///
/// The free space that the filesystem reports is not enough: some have free space that no file can use.
pub(super) fn is_used_up(store: &dyn Store, dir: &Path) -> bool {
    let is_low = store.space().is_ok_and(|space| space.is_used_up());
    is_low || !has_room_for_a_file(dir)
}

fn has_room_for_a_file(dir: &Path) -> bool {
    let path = dir.join("room");
    let tried = File::create(&path).and_then(|file| {
        match fallocate(&file, FallocateFlags::empty(), 0, LEAST) {
            Err(Errno::OPNOTSUPP) => Ok(()),
            tried => Ok(tried?),
        }
    });
    let full = |error: &std::io::Error| {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(error.kind(), StorageFull | QuotaExceeded)
    };
    if let Err(error) = fs::remove_file(&path) {
        tracing::debug!("Cannot remove {}: {error}", path.display());
    }
    !tried.is_err_and(|error| full(&error))
}
