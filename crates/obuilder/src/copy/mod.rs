//! Copies files into a root filesystem: from the source of a build, or from the result of a nested one.
//!
//! In two parts: the first computes the step's id, and the second is needed only if there is no result yet. [`read`]
//! lists the files to copy, as a [`Manifest`]; [`write()`] copies them. Both block: call them on a thread that may
//! block. They end soon after their token fires.
//!
//! Neither side is trusted. Below the root of the source no symlink is followed, and no path of the image leads out of
//! it. `docs/design/0009-copies.md` has the details, and the alternatives.

mod destination;
mod digests;
mod error;
mod files;
mod image;
mod manifest;
mod read;
mod write;

use std::path::PathBuf;

use bstr::BString;
use tokio_util::sync::CancellationToken;

pub use digests::Digests;
pub use error::CopyError;
pub use manifest::Manifest;
pub use read::read;
pub use write::write;

/// A `copy` of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The directory of the sources on this machine.
    pub root: PathBuf,
    /// What to copy, relative to `root`.
    pub src: Vec<BString>,
    /// The destination, joined with the working directory, and otherwise as in the spec, because it is part of the
    /// step's id. With a slash at its end it is the directory for the sources.
    pub dst: BString,
    /// Names to exclude, at any depth. The sources themselves are never excluded.
    pub exclude: Vec<BString>,
}

/// Fails if the copy was cancelled. Called often, because files may be very large.
fn check(cancel: &CancellationToken) -> Result<(), CopyError> {
    match cancel.is_cancelled() {
        false => Ok(()),
        true => Err(CopyError::Cancelled),
    }
}

/// The most nested directories. Each is kept open during the copy of its entries, on both sides. Real sources are
/// far below this limit.
const MAX_DEPTH: usize = 256;
