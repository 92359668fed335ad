//! Limits to the size of an image, and why one is not unpacked.

use std::io::{self, Read};
use std::path::PathBuf;

use bstr::BString;
use tokio_util::sync::CancellationToken;
use visible::OneLine;

/// The largest image that is unpacked. An image's own figures are not trusted.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most layers. Docker's own limit is 127.
    pub layers: usize,
    /// The most files and directories.
    pub entries: u64,
    /// The most bytes of all layers as they are stored.
    pub stored: u64,
    /// The most bytes of all layers, decompressed.
    pub unpacked: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layers: 512,
            entries: 20_000_000,
            stored: 100 << 30,
            unpacked: 200 << 30,
        }
    }
}

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The fetch was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The layer cannot be read.
    #[error("{0}")]
    Read(io::Error),
    /// An entry of the layer cannot be created.
    #[error("{entry:?}: {problem}")]
    Entry {
        /// Its name in the layer.
        entry: BString,
        /// Why it cannot be created.
        problem: &'static str,
    },
    /// The image is larger than is allowed.
    #[error("the image is too large: more than {limit} {what}")]
    TooLarge {
        /// The unit of the limit.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A part of it would be left out.
    #[error("cannot unpack all of it: {0}")]
    Incomplete(String),
    /// A system call failed.
    #[error("cannot write {}: {source}", OneLine(.path.to_string_lossy().as_ref()))]
    Write {
        /// What could not be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// An archive contains more than is allowed.
#[derive(Debug, thiserror::Error)]
#[error("too large")]
struct TooLarge;

pub(super) fn is_too_large(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooLarge>())
}

/// Reads up to a limit, until it is cancelled.
pub(super) struct Bounded<R> {
    pub(super) inner: R,
    pub(super) left: u64,
    pub(super) cancel: CancellationToken,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(TooLarge))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_an_image_forges_no_line_of_a_log() {
        let path = PathBuf::from("/rootfs/a\nResult: \"forged\"");
        let source = io::Error::from_raw_os_error(28);
        let error = UnpackError::Write { path, source };
        assert_eq!(
            error.to_string(),
            "cannot write /rootfs/a\\nResult: \"forged\": No space left on device (os error 28)"
        );
    }
}
