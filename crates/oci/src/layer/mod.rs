//! Unpacks the layers of an image into a root filesystem, one over the other.

mod attributes;
mod limits;
mod place;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{AtFlags, FileType, Mode, Timestamps};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use limits::{Bounded, is_too_large};
pub use limits::{Limits, UnpackError};
use place::{
    cleaned, create, is_whiteout_device, make_directory, make_node, replacing, split, timespec,
    timestamps,
};

use crate::archive::{Archive, Entry, Kind};
use crate::rootfs::{self, Rootfs};

/// How much is written at a time.
const BUFFER: usize = 256 << 10;

/// The most notes about omitted entries.
const MAX_NOTES: usize = 10;

/// How much of a note is kept, in characters: there are paths in them.
const MAX_NOTE: usize = 300;

/// How many entries of a layer are remembered for an opaque directory, which hides what the layers below have and nothing of
/// its own. 20 times as many as the largest layers have; together they take some 40 MB.
const MAX_MADE: usize = 2_000_000;

/// Prefix of a whiteout: the file with the rest of the name is removed from the layers below.
const WHITEOUT: &[u8] = b".wh.";

/// Names that begin so are the business of the filesystem that invented whiteouts.
const WHITEOUT_META: &[u8] = b".wh..wh.";

/// Name of the entry that hides the whole content of a directory in the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Puts layers onto a root filesystem.
#[derive(Debug)]
pub(crate) struct Unpacker {
    rootfs: Rootfs,
    limits: Limits,
    cancel: CancellationToken,
    entries: u64,
    read: u64,
    notes: BTreeSet<String>,
    buffer: Vec<u8>,
}

/// What is known of the layer that is being put on.
#[derive(Default)]
struct Layer {
    parent: Option<Parent>,
    /// What this layer made, as hashes of the directory's inode and the name: it outlives an opaque directory.
    made: HashSet<u64>,
    hasher: RandomState,
}

/// The directory that the last entry was in. The next is mostly there, too.
struct Parent {
    path: BString,
    fd: OwnedFd,
    inode: u64,
    /// The times that it is to have when nothing more is made in it for now. Kept for this one alone: the times of
    /// all directories, with their paths, would be as large as an image likes.
    times: Timestamps,
}

impl Parent {
    /// Gives the directory back its times, which everything made or removed in it has changed.
    fn leave(self) -> Result<(), Errno> {
        rustix::fs::utimensat(&self.fd, ".", &self.times, AtFlags::empty())
    }
}

impl Layer {
    /// Gives up the directory that the last entry was in.
    fn leave_parent(&mut self) -> Result<(), Errno> {
        self.parent.take().map_or(Ok(()), Parent::leave)
    }
}

impl Unpacker {
    /// Starts with an empty root filesystem.
    pub(crate) fn new(
        rootfs: &Path,
        limits: Limits,
        cancel: CancellationToken,
    ) -> Result<Self, UnpackError> {
        Ok(Self {
            rootfs: Rootfs::open(rootfs).map_err(|error| UnpackError::Write {
                path: rootfs.to_owned(),
                source: error.into(),
            })?,
            limits,
            cancel,
            entries: 0,
            read: 0,
            notes: BTreeSet::new(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Returns how many entries were put on, and how many bytes the layers had.
    pub(crate) fn total(&self) -> (u64, u64) {
        (self.entries, self.read)
    }

    /// Returns what was left out, in words.
    pub(crate) fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    /// Puts a layer on, which is read to its end.
    pub(crate) fn apply(&mut self, layer: impl Read) -> Result<(), UnpackError> {
        let (limit, cancel) = (self.limits.unpacked, self.cancel.clone());
        let mut archive = Archive::new(Bounded {
            inner: layer,
            left: limit.saturating_sub(self.read),
            cancel: cancel.clone(),
        });
        let before = self.limits.unpacked.saturating_sub(self.read);
        let result = self.apply_entries(&mut archive);
        let bounded = result.and_then(|()| archive.finish().map_err(UnpackError::Read));
        match bounded {
            _ if cancel.is_cancelled() => Err(UnpackError::Cancelled),
            Ok(bounded) => {
                self.read += before - bounded.left;
                Ok(())
            }
            Err(UnpackError::Read(error)) if is_too_large(&error) => Err(UnpackError::TooLarge {
                what: "bytes",
                limit,
            }),
            Err(error) => Err(error),
        }
    }

    fn apply_entries(&mut self, archive: &mut Archive<impl Read>) -> Result<(), UnpackError> {
        let mut layer = Layer::default();
        while let Some(mut entry) = archive.next().map_err(UnpackError::Read)? {
            self.entries += 1;
            if self.entries > self.limits.entries {
                let limit = self.limits.entries;
                return Err(UnpackError::TooLarge {
                    what: "files",
                    limit,
                });
            }
            self.place(archive, &mut layer, &mut entry)?;
        }
        let left = layer.leave_parent();
        left.map_err(|errno| self.failed(BStr::new(""), errno))
    }

    fn place(
        &mut self,
        archive: &mut Archive<impl Read>,
        layer: &mut Layer,
        entry: &mut Entry,
    ) -> Result<(), UnpackError> {
        let path = cleaned(entry.path.as_ref()).ok_or_else(|| UnpackError::Entry {
            entry: entry.path.clone(),
            problem: "its name points outside of the root filesystem",
        })?;
        let (directory, name) = split(path.as_ref());
        let failed = |errno: Errno| self.failed(path.as_ref(), errno);
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            let done = self.white_out(layer, directory, name, BStr::new(gone));
            return done.map_err(failed);
        }
        if is_whiteout_device(&entry.kind) {
            self.note(format!(
                "{path:?}: a device 0:0 would hide files in an overlay"
            ));
            return Ok(());
        }
        let mut parent = self.parent(layer, directory, entry.mtime).map_err(failed)?;
        let replaced = self.make(archive, entry, &path, parent.fd.as_fd(), name)?;
        if name == "." {
            // The root is in itself.
            parent.times = timestamps(timespec(entry.mtime));
        }
        if layer.made.len() < MAX_MADE {
            let made = layer.hasher.hash_one((parent.inode, name.as_bytes()));
            layer.made.insert(made);
        }
        if replaced {
            // Something was removed to make room, so names may lead elsewhere now.
            let left = parent.leave();
            left.map_err(|errno| self.failed(path.as_ref(), errno))?;
        } else {
            layer.parent = Some(parent);
        }
        Ok(())
    }

    /// Creates the file of an entry, with its attributes. Returns whether an existing file was replaced.
    fn make(
        &mut self,
        archive: &mut Archive<impl Read>,
        entry: &mut Entry,
        path: &BString,
        parent: BorrowedFd<'_>,
        name: &BStr,
    ) -> Result<bool, UnpackError> {
        let replaced = match &entry.kind {
            Kind::File {
                size,
                parts: Some(_),
            } if *size > self.limits.unpacked => {
                // Of holes, mostly: what is stored is counted as it is read.
                let limit = self.limits.unpacked;
                return Err(UnpackError::TooLarge {
                    what: "bytes in one file",
                    limit,
                });
            }
            Kind::File { size, parts } => {
                let (size, parts) = (*size, parts.clone());
                let created = create(parent, name);
                let (file, replaced) =
                    created.map_err(|errno| self.failed(path.as_ref(), errno))?;
                self.fill(archive, entry, path.as_ref(), &file, size, parts)?;
                self.set_attributes_of_file(&file, path.as_ref(), entry)?;
                return Ok(replaced);
            }
            Kind::HardLink(target) => self.link(target.as_ref(), path, parent, name)?,
            Kind::Directory => make_directory(parent, name),
            Kind::Symlink(target) => replacing(parent, name, || {
                rustix::fs::symlinkat(target.as_bytes(), parent, name.as_bytes())
            }),
            Kind::Fifo => make_node(parent, name, FileType::Fifo, 0),
            Kind::Device {
                block,
                major,
                minor,
            } => {
                let kind = if *block {
                    FileType::BlockDevice
                } else {
                    FileType::CharacterDevice
                };
                make_node(parent, name, kind, rustix::fs::makedev(*major, *minor))
            }
        };
        let replaced = replaced.map_err(|errno| self.failed(path.as_ref(), errno))?;
        // A second name has what the first one has.
        if !matches!(entry.kind, Kind::HardLink(_)) {
            self.set_attributes(parent, name, path.as_ref(), entry)?;
        }
        Ok(replaced)
    }

    /// Opens the directory of an entry, made if need be. It is to be left with the time that it has now.
    fn parent(&self, layer: &mut Layer, path: &BStr, mtime: (i64, u32)) -> Result<Parent, Errno> {
        if let Some(parent) = layer.parent.take_if(|parent| parent.path == path) {
            return Ok(parent);
        }
        layer.leave_parent()?;
        let fd = self.rootfs.make_directory(path, |_, made| {
            rustix::fs::fchmod(made, Mode::from_raw_mode(0o755))?;
            let times = timestamps(timespec(mtime));
            rustix::fs::futimens(made, &times)
        })?;
        Self::parent_at(path, fd)
    }

    fn parent_at(path: &BStr, fd: OwnedFd) -> Result<Parent, Errno> {
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Parent {
            path: path.to_owned(),
            fd,
            inode: stat.st_ino,
            times: rootfs::times_of(&stat),
        })
    }

    fn white_out(
        &self,
        layer: &mut Layer,
        directory: &BStr,
        name: &BStr,
        gone: &BStr,
    ) -> Result<(), Errno> {
        let is_opaque = name.as_bytes() == OPAQUE;
        if !is_opaque && name.starts_with(WHITEOUT_META)
            || matches!(gone.as_bytes(), b"" | b"." | b"..")
        {
            return Ok(());
        }
        layer.leave_parent()?;
        let parent = match self.rootfs.directory(directory) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            parent => Self::parent_at(directory, parent?)?,
        };
        if is_opaque {
            let (made, hasher) = (&layer.made, &layer.hasher);
            if made.len() >= MAX_MADE {
                return Err(Errno::OVERFLOW);
            }
            let keeps = &mut |inode: u64, name: &BStr| {
                made.contains(&hasher.hash_one((inode, name.as_bytes())))
            };
            let readable = rootfs::open_directory(parent.fd.as_fd(), BStr::new("."))?;
            rootfs::remove_from(&readable, 0, keeps)?;
        } else {
            rootfs::remove(parent.fd.as_fd(), gone)?;
        }
        parent.leave()
    }

    fn link(
        &self,
        target: &BStr,
        path: &BString,
        parent: BorrowedFd<'_>,
        name: &BStr,
    ) -> Result<Result<bool, Errno>, UnpackError> {
        let problem = |problem| UnpackError::Entry {
            entry: path.clone(),
            problem,
        };
        let target = cleaned(target)
            .ok_or_else(|| problem("it is a link to something outside of the root filesystem"))?;
        if target == *path {
            return Err(problem("it is a hard link to itself"));
        }
        let (directory, target) = split(target.as_ref());
        let linked = self.rootfs.directory(directory).and_then(|from| {
            replacing(parent, name, || {
                let (target, name) = (target.as_bytes(), name.as_bytes());
                rustix::fs::linkat(&from, target, parent, name, AtFlags::empty())
            })
        });
        match linked {
            Err(Errno::NOENT) => Err(problem("it is a hard link to a file that is not there")),
            linked => Ok(linked),
        }
    }

    /// Writes the contents of a file.
    fn fill(
        &mut self,
        archive: &mut Archive<impl Read>,
        entry: &mut Entry,
        path: &BStr,
        mut file: &File,
        size: u64,
        parts: Option<Vec<(u64, u64)>>,
    ) -> Result<(), UnpackError> {
        let shown = self.rootfs.shown(path);
        let failed = |source| UnpackError::Write {
            path: shown.clone(),
            source,
        };
        let is_sparse = parts.is_some();
        for (offset, mut left) in parts.unwrap_or_else(|| vec![(0, size)]) {
            if is_sparse {
                file.seek(SeekFrom::Start(offset)).map_err(failed)?;
            }
            while left > 0 {
                let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
                let buffer = self.buffer.get_mut(..most).unwrap_or_default();
                let read = archive.read(entry, buffer).map_err(UnpackError::Read)?;
                if read == 0 {
                    return Err(UnpackError::Read(io::ErrorKind::UnexpectedEof.into()));
                }
                let bytes = buffer.get(..read).unwrap_or_default();
                file.write_all(bytes).map_err(failed)?;
                left = left.saturating_sub(read as u64);
            }
        }
        if is_sparse {
            file.set_len(size).map_err(failed)?;
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.insert(note.chars().take(MAX_NOTE).collect());
        }
    }

    fn failed(&self, path: &BStr, errno: Errno) -> UnpackError {
        let problem = match errno {
            Errno::NOTDIR => "a directory on the way to it is a file",
            Errno::LOOP => "too many links lead to it",
            Errno::NAMETOOLONG => "its name is too long",
            Errno::OVERFLOW => {
                "it hides what is in a directory, after too many other files of its layer"
            }
            Errno::INVAL => "the filesystem cannot hold it",
            _ => {
                let path = self.rootfs.shown(path);
                return UnpackError::Write {
                    path,
                    source: errno.into(),
                };
            }
        };
        UnpackError::Entry {
            entry: path.to_owned(),
            problem,
        }
    }
}
