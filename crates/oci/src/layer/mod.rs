//! Unpacks the layers of an image into a root filesystem, one over the other.

mod apply;
mod attributes;
mod files;
mod limits;
mod place;

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Read;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{AtFlags, Mode, Timestamps};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

pub use apply::apply_layer;
use limits::{Bounded, is_too_large};
pub use limits::{Limits, UnpackError};
use place::{cleaned, is_whiteout_device, split, timespec, timestamps};

use crate::archive::{Archive, Entry};
use crate::rootfs::{self, Rootfs};

/// Size of a write, in bytes.
const BUFFER: usize = 256 << 10;

/// The most notes about omitted entries.
const MAX_NOTES: usize = 10;

/// Longest note, in characters: notes contain paths.
const MAX_NOTE: usize = 300;

/// How many entries of a layer are remembered for opaque directories, which hide files of the layers below but none of
/// their own layer. 20 times as many as the largest layers have; they take some 40 MB together.
const MAX_MADE: usize = 2_000_000;

/// Prefix of a whiteout: the file with the rest of the name is removed from the layers below.
const WHITEOUT: &[u8] = b".wh.";

/// Prefix of names that only the filesystem which invented whiteouts uses.
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

/// The state of the layer in progress.
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
            self.note(format!("{path:?}: a device 0:0 hides files in an overlay"));
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

    /// Opens the directory of an entry, and creates it if it is missing. Its times are restored when it is left.
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
                "it hides the content of a directory, after too many other files of its layer"
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
