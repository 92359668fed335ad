//! Makes a compressed layer of what a step has changed, and the digest of a whole tree.

use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::{ExportError, write_changes, write_tar};
use crate::digest::{Digest, Hashing};

/// How hard to compress: zstd's own default.
const LEVEL: i32 = 3;

/// A compressed layer in a file.
#[derive(Debug)]
pub struct LayerFile {
    /// The file, at its beginning.
    pub file: File,
    /// Its digest.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// The size of the archive in it, in bytes.
    pub unpacked: u64,
}

/// Writes the changes from one tree to another ([`write_changes`]) into a file without a name in the directory `into`,
/// compressed with zstd.
///
/// # Errors
/// If the layer has more than `limit` bytes, or as for [`write_changes`].
pub fn write_layer(
    base: &Path,
    result: &Path,
    into: &Path,
    limit: u64,
    cancel: &CancellationToken,
) -> Result<LayerFile, ExportError> {
    let file = tempfile::tempfile_in(into).map_err(ExportError::Write)?;
    let encoder = zstd::Encoder::new(Hashing::new(file), LEVEL).map_err(ExportError::Write)?;
    let mut counted = Counted {
        inner: encoder,
        length: 0,
        limit,
    };
    write_changes(base, result, &mut counted, cancel)?;
    let unpacked = counted.length;
    let written = counted.inner.finish().map_err(ExportError::Write)?;
    let (mut file, digest, size) = written.finish();
    file.rewind().map_err(ExportError::Write)?;
    Ok(LayerFile {
        file,
        digest,
        size,
        unpacked,
    })
}

/// Returns the digest of a tree with all that a layer has of it. Two copies of a tree have the same.
///
/// # Errors
/// If a file cannot be read.
pub fn tree_digest(tree: &Path) -> Result<Digest, ExportError> {
    let mut hashing = Hashing::new(io::sink());
    write_tar(tree, &mut hashing)?;
    let (_, digest, _) = hashing.finish();
    Ok(digest)
}

/// Counts bytes, up to a limit.
struct Counted<W> {
    inner: W,
    length: u64,
    limit: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.length = self.length.saturating_add(written as u64);
        if self.length > self.limit {
            return Err(io::Error::other(format!(
                "it has more than {} bytes",
                self.limit
            )));
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
