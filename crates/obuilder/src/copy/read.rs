//! Reads the files to copy, and computes their digests.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{self, FileType, Stat};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::destination::Destination;
use super::digests::{Digests, Key, Table};
use super::files::{self, BUFFER_SIZE, Digest, Trail};
use super::manifest::{Content, Entry, Item, Manifest};
use super::{CopyError, Request, check};

/// Returns the files that a request copies.
///
/// It reads every file whose digest is not in `digests`. The result keeps no file open.
///
/// # Errors
/// If a source does not exist, is not supported or cannot be read, or `cancel` fired.
pub fn read(
    request: &Request,
    digests: &Digests,
    cancel: &CancellationToken,
) -> Result<Manifest, CopyError> {
    let destination = Destination::of(request.dst.as_ref())?;
    match request.src.as_slice() {
        [] => return Err(CopyError::NoSources),
        [_, _, ..] if !destination.is_directory => return Err(CopyError::ManyToOne),
        _ => {}
    }
    let mut reader = Reader {
        exclude: request.exclude.iter().collect(),
        cancel,
        table: digests.load(&request.root),
        trail: Trail::default(),
        buffer: vec![0; BUFFER_SIZE],
        files_read: 0,
    };
    let root = files::open_root(&request.root).map_err(|source| CopyError::Read {
        path: BString::from(request.root.as_os_str().as_encoded_bytes()),
        source,
    })?;
    let items = request
        .src
        .iter()
        .map(|src| reader.item(&root, src.as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    digests.save(&request.root, reader.table);
    Ok(Manifest {
        root: request.root.clone(),
        items,
        dst: request.dst.clone(),
        destination,
        files_read: reader.files_read,
    })
}

struct Reader<'a> {
    exclude: HashSet<&'a BString>,
    cancel: &'a CancellationToken,
    table: Table,
    /// The current path, from the root of the source.
    trail: Trail,
    buffer: Vec<u8>,
    files_read: usize,
}

/// The resolved path of a source.
struct Found {
    /// Its parent directory; for the root, the root itself.
    directory: OwnedFd,
    /// The components of its path. Empty for the root.
    names: Vec<BString>,
}

impl Reader<'_> {
    /// Reads one source.
    fn item(&mut self, root: &OwnedFd, src: &BStr) -> Result<Item, CopyError> {
        self.trail = Trail::default();
        let Found {
            directory,
            mut names,
        } = self.find(root, src)?;
        let Some(name) = names.pop() else {
            let stat = fs::fstat(&directory).map_err(|e| self.trail.cannot_read(e))?;
            let entry = Entry {
                name: BString::default(),
                mtime: stat.st_mtime,
                content: self.directory(&directory)?,
            };
            let parents = Vec::new();
            return Ok(Item { parents, entry });
        };
        let entry = self.entry(directory.as_fd(), name)?;
        let parents = names;
        Ok(Item { parents, entry })
    }

    /// Resolves a source's path: through directories only, to any kind of file that can be copied.
    ///
    /// Component by component, so that the first of several mistakes is reported.
    fn find(&mut self, root: &OwnedFd, src: &BStr) -> Result<Found, CopyError> {
        let mut directory = root
            .try_clone()
            .map_err(|source| self.trail.cannot_read(source))?;
        let mut names: Vec<BString> = Vec::new();
        let mut rest = src.split_str("/").peekable();
        while let Some(name) = rest.next() {
            match name {
                b"" | b"." => continue,
                b".." => return Err(CopyError::SourceGoesUp(src.to_owned())),
                _ => {}
            }
            if let Some(last) = names.last() {
                directory = files::open_directory(&directory, last)
                    .map_err(|e| self.trail.cannot_read(e))?;
            }
            self.trail.enter(name)?;
            names.push(BString::from(name));
            let stat = files::stat(&directory, name).map_err(|e| match e {
                Errno::NOENT => CopyError::NotFound(src.to_owned()),
                e => self.trail.cannot_read(e),
            })?;
            let (path, src) = (self.trail.path(), src.to_owned());
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {}
                FileType::RegularFile | FileType::Symlink if rest.peek().is_none() => {}
                FileType::RegularFile => return Err(CopyError::NotADirectory { path, src }),
                _ => return Err(CopyError::NotARegularFile { path, src }),
            }
        }
        Ok(Found { directory, names })
    }

    /// Reads the entry `name` of a directory. The trail already includes it.
    fn entry(&mut self, parent: BorrowedFd<'_>, name: BString) -> Result<Entry, CopyError> {
        check(self.cancel)?;
        let stat = files::stat(parent, &name).map_err(|e| self.cannot_read(e))?;
        let content = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Content::File {
                digest: self.digest(parent, &name, &stat)?,
                size: stat.st_size.cast_unsigned(),
                executable: stat.st_mode & 0o111 != 0,
            },
            FileType::Symlink => Content::Symlink {
                target: fs::readlinkat(parent, name.as_slice(), Vec::new())
                    .map_err(|e| self.cannot_read(e))?
                    .into_bytes()
                    .into(),
            },
            FileType::Directory => {
                let directory =
                    files::open_directory(parent, &name).map_err(|e| self.cannot_read(e))?;
                self.directory(&directory)?
            }
            _ => return Err(CopyError::UnsupportedType(self.trail.path())),
        };
        Ok(Entry {
            name,
            mtime: stat.st_mtime,
            content,
        })
    }

    /// Reads the entries of a directory.
    fn directory(&mut self, directory: &OwnedFd) -> Result<Content, CopyError> {
        let names = files::names(directory).map_err(|e| self.cannot_read(e))?;
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            if self.exclude.contains(&name) {
                continue;
            }
            let mark = self.trail.enter(&name)?;
            entries.push(self.entry(directory.as_fd(), name)?);
            self.trail.back_to(mark);
        }
        Ok(Content::Directory { entries })
    }

    /// Returns the digest of a regular file. Reads it only if the digest is not known.
    fn digest(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &BString,
        stat: &Stat,
    ) -> Result<Digest, CopyError> {
        let key = Key::of(stat);
        if let Some(digest) = self.table.get(&key) {
            return Ok(digest);
        }
        let mut file = File::from(files::open_file(parent, name).map_err(|e| self.cannot_read(e))?);
        let size = stat.st_size.cast_unsigned();
        let (buffer, trail, cancel) = (&mut self.buffer, &self.trail, self.cancel);
        let digest = files::digest(&mut file, size, buffer, trail, |_| check(cancel))?;
        let after = fs::fstat(&file).map_err(|e| self.trail.cannot_read(e))?;
        if Key::of(&after) != key {
            return Err(CopyError::Changed(self.trail.path()));
        }
        self.files_read += 1;
        self.table.insert(key, digest);
        Ok(digest)
    }

    /// Returns the error for an entry of a directory that cannot be read.
    fn cannot_read(&self, errno: Errno) -> CopyError {
        match errno {
            Errno::NOENT => CopyError::Vanished(self.trail.path()),
            errno => self.trail.cannot_read(errno),
        }
    }
}
