//! Opens files relative to their directory, and reads them.

use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bstr::BString;
use rustix::fs::{self, Mode, OFlags, RawDir, Stat};
use sha2::{Digest as _, Sha256};

use super::{CopyError, MAX_DEPTH};

/// A SHA-256 digest.
pub(super) type Digest = [u8; 32];

/// Size of a read, in bytes.
pub(super) const BUFFER_SIZE: usize = 128 * 1024;

/// The flags for opening a directory.
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// Opens the directory at a path of this machine. No other function here follows symlinks.
pub(super) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(fs::open(path, DIRECTORY, Mode::empty())?)
}

/// Opens a directory in another. A symlink to a directory is an error.
pub(super) fn open_directory(parent: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
}

/// Opens a regular file for reading. If it was replaced by another kind of file, that may be opened without side
/// effects: the caller must check.
pub(super) fn open_file(parent: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

/// Returns the metadata of a name in a directory.
pub(super) fn stat(parent: impl AsFd, name: &[u8]) -> rustix::io::Result<Stat> {
    fs::statat(parent, name, fs::AtFlags::SYMLINK_NOFOLLOW)
}

/// Returns the names in a directory, sorted by their bytes.
pub(super) fn names(directory: impl AsFd) -> rustix::io::Result<Vec<BString>> {
    let mut buffer = [const { MaybeUninit::uninit() }; 8192];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(BString::from(name));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The path of a walk, component by component.
#[derive(Debug, Default)]
pub(super) struct Trail {
    path: Vec<u8>,
    depth: usize,
}

/// An earlier position of a walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    length: usize,
    depth: usize,
}

impl Trail {
    /// Enters `name`, and returns the position before.
    pub(super) fn enter(&mut self, name: &[u8]) -> Result<Mark, CopyError> {
        let mark = Mark {
            length: self.path.len(),
            depth: self.depth,
        };
        if !name.is_empty() {
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            self.depth += 1;
        }
        if self.depth > MAX_DEPTH {
            return Err(CopyError::TooDeep { path: self.path() });
        }
        Ok(mark)
    }

    /// Returns to an earlier position.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.path.truncate(mark.length);
        self.depth = mark.depth;
    }

    /// Returns the path, without a slash before it.
    pub(super) fn path(&self) -> BString {
        BString::from(self.path.as_slice())
    }

    /// Returns the error of a failed read at this path.
    pub(super) fn cannot_read(&self, source: impl Into<io::Error>) -> CopyError {
        CopyError::Read {
            path: self.path(),
            source: source.into(),
        }
    }
}

/// Returns whether a file has holes, which its copy must have, too.
pub(super) fn is_sparse(file: &File) -> bool {
    /// The unit of a file's number of blocks, in bytes.
    const BLOCK: u64 = 512;
    file.metadata()
        .is_ok_and(|metadata| metadata.blocks().saturating_mul(BLOCK) < metadata.len())
}

/// Reads a file that should have `size` bytes, through `buffer`, passes each piece to `piece`, and returns the digest
/// of the content. It stops if the file has more bytes.
pub(super) fn digest(
    file: &mut File,
    size: u64,
    buffer: &mut [u8],
    trail: &Trail,
    mut piece: impl FnMut(&[u8]) -> Result<(), CopyError>,
) -> Result<Digest, CopyError> {
    let mut hasher = Sha256::new();
    let mut left = size;
    loop {
        let got = match file.read(buffer) {
            Ok(0) => break,
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(trail.cannot_read(e)),
        };
        left = left
            .checked_sub(got as u64)
            .ok_or_else(|| CopyError::Changed(trail.path()))?;
        let bytes = buffer.get(..got).unwrap_or_default();
        hasher.update(bytes);
        piece(bytes)?;
    }
    match left {
        0 => Ok(hasher.finalize().into()),
        _ => Err(CopyError::Changed(trail.path())),
    }
}
