//! Puts one layer onto a root filesystem that has others already.

use std::fs::File;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{Limits, UnpackError, Unpacker};
use crate::compression::Decompressed;

/// Puts a layer, compressed or not, onto the root filesystem in the directory `rootfs`. It cannot change a file
/// outside.
///
/// After an error some of its files are there.
///
/// # Errors
/// If the layer cannot be read, is too large, has a file that the filesystem cannot hold in all its attributes, or
/// `cancel` fired.
pub fn apply_layer(
    rootfs: &Path,
    layer: File,
    limits: Limits,
    cancel: &CancellationToken,
) -> Result<(), UnpackError> {
    let layer = Decompressed::of(layer, None).map_err(UnpackError::Read)?;
    let mut unpacker = Unpacker::new(rootfs, limits, cancel.clone())?;
    unpacker.apply(layer)?;
    match unpacker.notes().next() {
        Some(note) => Err(UnpackError::Incomplete(note.to_owned())),
        None => Ok(()),
    }
}
