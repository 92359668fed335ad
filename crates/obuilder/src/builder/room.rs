//! Whether there is room left on the disk of a store.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::store::Store;

/// What a step that goes on needs at the least, in bytes.
const LEAST: u64 = 64 << 10;

/// Returns whether a step that works in `dir`, in the store, has no room left: neither for bytes nor for files.
///
/// Not only what the filesystem says is free counts: on some there is room that no file can have.
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
        tracing::debug!("Cannot remove {path:?}: {error}");
    }
    !tried.is_err_and(|error| full(&error))
}
