//! Places for mounts, made in an image for a fuzzer to look at.

use std::io;
use std::path::Path;

use bstr::BStr;

use super::inside::{Kind, ensure};

/// Makes sure that something can be mounted at a path of an image.
///
/// # Errors
/// When something is in the way.
pub fn mount_point(rootfs: &Path, path: &BStr, is_file: bool) -> io::Result<()> {
    let kind = if is_file { Kind::File } else { Kind::Directory };
    ensure(rootfs, path, kind).map(drop)
}
