//! What a fuzzer needs of the inside: no part of the interface, and free to change.

use std::fs::File;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::image::compression::Decompressed;
use crate::image::layer::Unpacker;
use crate::image::{Limits, UnpackError};

pub use crate::sandbox::fuzzing::{call_numbers, compiled_filter, filter_rules, mount_points};

/// Unpacks layers, compressed or not, into an empty directory, as a fetched image is.
///
/// # Errors
/// When one cannot be read, holds what cannot be done, or is too large.
pub fn unpack(rootfs: &Path, limits: Limits, layers: Vec<File>) -> Result<(), UnpackError> {
    let mut unpacker = Unpacker::new(rootfs, limits, CancellationToken::new())?;
    for layer in layers {
        unpacker.apply(Decompressed::of(layer, None).map_err(UnpackError::Read)?)?;
    }
    Ok(())
}
