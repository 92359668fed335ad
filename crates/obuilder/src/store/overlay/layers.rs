//! The layers of a result.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::store::StoreError;
use crate::store::error::Cannot as _;

/// Longer than any chain, so that links in a circle are an error and not an endless loop.
const LONGEST: usize = 100_000;

/// Returns the layers of the result `newest`, or of the layer of a cache, the newest first.
///
/// The link `parent` leads from each to the next. Only its last component counts, so that a store may be moved;
/// upstream writes absolute paths.
pub(super) fn chain(newest: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut layers = Vec::new();
    let mut at = newest.to_owned();
    for _ in 0..LONGEST {
        let squashed = at.join("squashed");
        let place = if squashed.exists() { &squashed } else { &at };
        let layer = place.join("rootfs");
        match fs::symlink_metadata(&layer) {
            Ok(_) => layers.push(layer),
            // Upstream keeps no layer for a step that changed nothing. A missing result is an error.
            Err(error) if error.kind() == io::ErrorKind::NotFound && place.exists() => {}
            Err(error) => return Err(error).cannot("read the layer", &layer),
        }
        match fs::read_link(place.join("parent")) {
            Ok(parent) => at.set_file_name(parent.file_name().unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(layers),
            Err(error) => return Err(error).cannot("read the parent of", place),
        }
    }
    let circle = io::Error::other("its parents lead in a circle");
    Err(StoreError::new("read the layers of", newest, circle))
}

/// Sets the parent of the place `place` to the result of the layer `below`.
pub(super) fn set_parent(place: &Path, below: &Path) -> Result<(), StoreError> {
    let mut target = PathBuf::from("..");
    target.push(below.parent().and_then(Path::file_name).unwrap_or_default());
    let link = place.join("parent");
    symlink(target, &link).cannot("create", &link)
}

/// Returns whether an extended attribute belongs to the files, and not to the overlay.
pub(super) fn is_not_ours(name: &CStr) -> bool {
    let name = name.to_bytes();
    // With the prefix twice it is of an overlay inside the build.
    !name.starts_with(b"trusted.overlay.") || name.starts_with(b"trusted.overlay.overlay.")
}
