//! Puts the layers of an image onto a root filesystem, one over the other.

mod attributes;
mod limits;
mod place;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{AtFlags, FileType, Mode, Timespec};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use limits::{Bounded, is_too_large};
pub use limits::{Limits, UnpackError};
use place::{
    cleaned, create, is_whiteout_device, make_directory, make_node, replacing, split, timespec,
    timestamps,
};

use super::archive::{Archive, Entry, Kind};
use super::rootfs::{self, Rootfs};

/// How much is written at a time.
const BUFFER: usize = 256 << 10;

/// How many things that were left out are remembered, to be told.
const MAX_NOTES: usize = 10;

/// A name that begins so says that what a lower layer has under the rest of it is gone.
const WHITEOUT: &[u8] = b".wh.";

/// Names that begin so are the business of the filesystem that invented whiteouts.
const WHITEOUT_META: &[u8] = b".wh..wh.";

/// Says that a directory has nothing of what lower layers have in it.
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
    /// The times of directories by inode, to be set when nothing more is made in them.
    times: HashMap<u64, (BString, Timespec)>,
}

/// The directory that the last entry was in. The next is mostly there, too.
struct Parent {
    path: BString,
    fd: OwnedFd,
    inode: u64,
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
        self.set_times(&layer)
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
        let parent = self.parent(layer, directory, entry.mtime).map_err(failed)?;
        let Parent { fd, inode, .. } = parent;
        let replaced = self.make(archive, entry, &path, fd.as_fd(), name)?;
        if matches!(entry.kind, Kind::Directory) {
            let stat = rustix::fs::statat(&fd, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW);
            let stat = stat.map_err(|errno| self.failed(path.as_ref(), errno))?;
            let time = (path.clone(), timespec(entry.mtime));
            layer.times.insert(stat.st_ino, time);
        }
        let made = layer.hasher.hash_one((inode, name.as_bytes()));
        layer.made.insert(made);
        // If something was removed to make room, names may lead elsewhere now.
        if !replaced {
            let path = directory.to_owned();
            layer.parent = Some(Parent { path, fd, inode });
        }
        Ok(())
    }

    /// Makes what an entry says, with all that it says of it. Returns whether something was removed for it.
    fn make(
        &mut self,
        archive: &mut Archive<impl Read>,
        entry: &mut Entry,
        path: &BString,
        parent: BorrowedFd<'_>,
        name: &BStr,
    ) -> Result<bool, UnpackError> {
        let replaced = match &entry.kind {
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

    /// Opens the directory of an entry, made if need be, and remembers its time, which the entry will change.
    fn parent(&self, layer: &mut Layer, path: &BStr, mtime: (i64, u32)) -> Result<Parent, Errno> {
        if let Some(parent) = layer.parent.take_if(|parent| parent.path == path) {
            return Ok(parent);
        }
        let times = &mut layer.times;
        let fd = self.rootfs.make_directory(path, |path, made| {
            let inode = rustix::fs::fstat(made)?.st_ino;
            rustix::fs::fchmod(made, Mode::from_raw_mode(0o755))?;
            times.insert(inode, (path.to_owned(), timespec(mtime)));
            Ok(())
        })?;
        let stat = rustix::fs::fstat(&fd)?;
        times.entry(stat.st_ino).or_insert_with(|| {
            let seconds = stat.st_mtime;
            let mtime = (
                seconds,
                u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
            );
            (path.to_owned(), timespec(mtime))
        });
        Ok(Parent {
            path: path.to_owned(),
            fd,
            inode: stat.st_ino,
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
        let parent = match self.rootfs.directory(directory) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            parent => parent?,
        };
        layer.parent = None;
        if is_opaque {
            let (made, hasher) = (&layer.made, &layer.hasher);
            let keeps = &mut |inode: u64, name: &BStr| {
                made.contains(&hasher.hash_one((inode, name.as_bytes())))
            };
            let readable = rootfs::open_directory(parent.as_fd(), BStr::new("."))?;
            return rootfs::remove_from(&readable, 0, keeps).map(drop);
        }
        rootfs::remove(parent.as_fd(), gone)
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

    /// Sets the times of directories, which everything made in them has changed.
    fn set_times(&self, layer: &Layer) -> Result<(), UnpackError> {
        for (inode, (path, mtime)) in &layer.times {
            let set = self.rootfs.directory(path.as_ref()).and_then(|directory| {
                // Gone, or something else by now.
                if rustix::fs::fstat(&directory)?.st_ino != *inode {
                    return Ok(());
                }
                rustix::fs::utimensat(&directory, ".", &timestamps(*mtime), AtFlags::empty())
            });
            match set {
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(self.failed(path.as_ref(), errno)),
            }
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.insert(note);
        }
    }

    fn failed(&self, path: &BStr, errno: Errno) -> UnpackError {
        let problem = match errno {
            Errno::NOTDIR => "a directory on the way to it is a file",
            Errno::LOOP => "too many links lead to it",
            Errno::NAMETOOLONG => "its name is too long",
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
