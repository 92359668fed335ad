//! What a fuzzer needs of the inside: no part of the interface, and free to change.

use std::fs::File;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::compression::Decompressed;
use crate::layer::Unpacker;
use crate::{Limits, UnpackError};

/// Unpacks layers, compressed or not, into an empty directory, as a fetched image is.
///
/// # Errors
/// If one cannot be read, has an entry that cannot be created, or is too large.
pub fn unpack(rootfs: &Path, limits: Limits, layers: Vec<File>) -> Result<(), UnpackError> {
    let mut unpacker = Unpacker::new(rootfs, limits, CancellationToken::new())?;
    for layer in layers {
        unpacker.apply(Decompressed::of(layer, None).map_err(UnpackError::Read)?)?;
    }
    Ok(())
}
