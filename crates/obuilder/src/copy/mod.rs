//! Copies files into a root filesystem: from the source of a build, or from the result of a nested one.
//!
//! In two parts, because the first gives the step's id and the second is only needed if there is no result yet.
//! [`read`] says what would be copied, as a [`Manifest`]; [`write()`] copies it. Both block: call them where that is
//! allowed. They end soon after the token fires that they are given.
//!
//! Neither side is trusted. Below the root of the source no symlink is followed, and no path of the image leads out of
//! it: `docs/design/0009-copies.md` says how, and what else was considered.

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

/// What a spec asks to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The directory on this machine that the sources are in.
    pub root: PathBuf,
    /// What to copy, relative to `root`.
    pub src: Vec<BString>,
    /// Where to, joined with the working directory and otherwise as the spec has it, because it is part of the step's
    /// id. With a slash at its end it is a directory to put the sources in.
    pub dst: BString,
    /// The names that are left out, at any depth. The sources themselves never are.
    pub exclude: Vec<BString>,
}

/// Fails if what is being done is no longer wanted. A file may be larger than anybody wants to wait for.
fn check(cancel: &CancellationToken) -> Result<(), CopyError> {
    match cancel.is_cancelled() {
        false => Ok(()),
        true => Err(CopyError::Cancelled),
    }
}

/// How many directories may be in one another. Each is held open while what is in it is copied, on both sides, and
/// nothing real comes near.
const MAX_DEPTH: usize = 256;
