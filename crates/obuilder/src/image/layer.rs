//! Puts the layers of an image onto a root filesystem, one over the other.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

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

/// How large an image may be. What it says of itself is not to be trusted.
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

/// Why a layer could not be put onto a root filesystem.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is no longer wanted.
    #[error("cancelled")]
    Cancelled,
    /// The layer cannot be read.
    #[error("{0}")]
    Read(io::Error),
    /// The layer holds what cannot be done.
    #[error("{entry:?}: {problem}")]
    Entry {
        /// The name of a file in it.
        entry: BString,
        /// Why it cannot be made.
        problem: &'static str,
    },
    /// The image is larger than is allowed.
    #[error("the image has more than {limit} {what}, which is the limit here")]
    TooLarge {
        /// What of it there is too much.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// The system refused something.
    #[error("cannot write {path:?}: {source}")]
    Write {
        /// What could not be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

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
        let mut failed = |errno: Errno| self.failed(path.as_ref(), errno);
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            let done = self.white_out(layer, directory, name, BStr::new(gone));
            return done.map_err(&mut failed);
        }
        if is_whiteout_device(&entry.kind) {
            self.note(format!(
                "{path:?}: a device 0:0 would hide files in an overlay"
            ));
            return Ok(());
        }
        let parent = self
            .parent(layer, directory, entry.mtime)
            .map_err(&mut failed)?;
        let (fd, inode) = (parent.fd, parent.inode);
        let replaced = match &entry.kind {
            Kind::Directory => make_directory(fd.as_fd(), name),
            Kind::File { size, parts } => {
                let (size, parts) = (*size, parts.clone());
                let result = create(fd.as_fd(), name).map_err(&mut failed)?;
                let (file, replaced) = result;
                self.fill(archive, entry, path.as_ref(), &file, size, parts)?;
                self.set_attributes_of_file(&file, path.as_ref(), entry)?;
                Ok(replaced)
            }
            Kind::Symlink(target) => replacing(fd.as_fd(), name, || {
                rustix::fs::symlinkat(target.as_bytes(), &fd, name.as_bytes())
            }),
            Kind::HardLink(target) => self.link(target.as_ref(), &path, fd.as_fd(), name)?,
            Kind::Fifo => make_node(fd.as_fd(), name, FileType::Fifo, 0),
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
                make_node(fd.as_fd(), name, kind, rustix::fs::makedev(*major, *minor))
            }
        };
        let replaced = replaced.map_err(|errno| self.failed(path.as_ref(), errno))?;
        if !matches!(entry.kind, Kind::File { .. } | Kind::HardLink(_)) {
            self.set_attributes(fd.as_fd(), name, path.as_ref(), entry)?;
        }
        if matches!(entry.kind, Kind::Directory) {
            let stat = rustix::fs::statat(&fd, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW);
            let stat = stat.map_err(|errno| self.failed(path.as_ref(), errno))?;
            layer
                .times
                .insert(stat.st_ino, (path.clone(), timespec(entry.mtime)));
        }
        layer
            .made
            .insert(layer.hasher.hash_one((inode, name.as_bytes())));
        // If something was removed to make room, names may lead elsewhere now.
        if !replaced {
            layer.parent = Some(Parent {
                path: directory.to_owned(),
                fd,
                inode,
            });
        }
        Ok(())
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

    /// The owner first, since changing it takes rights away that the mode and the attributes give.
    fn set_attributes_of_file(
        &mut self,
        file: &File,
        path: &BStr,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let set = || -> Result<(), Errno> {
            rustix::fs::fchown(
                file,
                Some(Uid::from_raw(entry.uid)),
                Some(Gid::from_raw(entry.gid)),
            )?;
            rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))
        };
        set().map_err(|errno| self.failed(path, errno))?;
        self.set_xattrs(path, entry, |name, value| {
            rustix::fs::fsetxattr(file, name.as_bytes(), value, XattrFlags::empty())
        })?;
        rustix::fs::futimens(file, &timestamps(timespec(entry.mtime)))
            .map_err(|errno| self.failed(path, errno))
    }

    fn set_attributes(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &BStr,
        path: &BStr,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        let set = || -> Result<(), Errno> {
            let itself = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(parent, name.as_bytes(), Some(uid), Some(gid), itself)?;
            if !matches!(entry.kind, Kind::Symlink(_)) {
                let mode = Mode::from_raw_mode(entry.mode);
                rustix::fs::chmodat(parent, name.as_bytes(), mode, AtFlags::empty())?;
            }
            Ok(())
        };
        set().map_err(|errno| self.failed(path, errno))?;
        self.set_xattrs(path, entry, |key, value| {
            let path = rootfs::path_in(parent, name);
            rustix::fs::lsetxattr(path, key.as_bytes(), value, XattrFlags::empty())
        })?;
        let times = timestamps(timespec(entry.mtime));
        rustix::fs::utimensat(parent, name.as_bytes(), &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.failed(path, errno))
    }

    fn set_xattrs(
        &mut self,
        path: &BStr,
        entry: &Entry,
        set: impl Fn(&BStr, &[u8]) -> Result<(), Errno>,
    ) -> Result<(), UnpackError> {
        for (name, value) in &entry.xattrs {
            // They tell an overlay filesystem where to look for files: not for an image to say.
            if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
                continue;
            }
            match set(name.as_ref(), value) {
                Ok(()) => {}
                // Labels of another machine's security module, or a filesystem that has no such attributes.
                Err(Errno::NOTSUP | Errno::PERM) => {
                    self.note(format!("attribute {name:?} is not possible here"));
                }
                Err(errno) => return Err(self.failed(path, errno)),
            }
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

/// A device that means "nothing is here" to an overlay filesystem, which a result may be in.
fn is_whiteout_device(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Device {
            block: false,
            major: 0,
            minor: 0
        }
    )
}

/// Returns a path without what changes nothing in it; `None` if it leads out of the root.
fn cleaned(path: &BStr) -> Option<BString> {
    let mut clean: Vec<BString> = Vec::new();
    for name in rootfs::names(path) {
        if name == ".." {
            clean.pop()?;
        } else {
            clean.push(name);
        }
    }
    Some(bstr::join("/", clean).into())
}

/// Splits a clean path into the directory and the bare name. The root is itself in itself.
fn split(path: &BStr) -> (&BStr, &BStr) {
    match path.rsplit_once_str(b"/") {
        Some((directory, name)) => (directory.into(), name.into()),
        None if path.is_empty() => (path, BStr::new(".")),
        None => (BStr::new(""), path),
    }
}

/// Makes something, in the place of whatever is there. Returns whether something was.
fn replacing(
    parent: BorrowedFd<'_>,
    name: &BStr,
    mut make: impl FnMut() -> Result<(), Errno>,
) -> Result<bool, Errno> {
    match make() {
        Err(Errno::EXIST) => {
            rootfs::remove(parent, name)?;
            make().map(|()| true)
        }
        made => made.map(|()| false),
    }
}

fn make_directory(parent: BorrowedFd<'_>, name: &BStr) -> Result<bool, Errno> {
    let make = || rustix::fs::mkdirat(parent, name.as_bytes(), Mode::from_raw_mode(0o700));
    if make() == Err(Errno::EXIST) {
        let stat = rustix::fs::statat(parent, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Ok(false);
        }
        rootfs::remove(parent, name)?;
        return make().map(|()| true);
    }
    Ok(false)
}

fn make_node(
    parent: BorrowedFd<'_>,
    name: &BStr,
    kind: FileType,
    device: rustix::fs::Dev,
) -> Result<bool, Errno> {
    replacing(parent, name, || {
        rustix::fs::mknodat(
            parent,
            name.as_bytes(),
            kind,
            Mode::from_raw_mode(0o600),
            device,
        )
    })
}

fn create(parent: BorrowedFd<'_>, name: &BStr) -> Result<(File, bool), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = None;
    let replaced = replacing(parent, name, || {
        let mode = Mode::from_raw_mode(0o600);
        file = Some(rustix::fs::openat(parent, name.as_bytes(), flags, mode)?);
        Ok(())
    })?;
    file.map(|file| (File::from(file), replaced))
        .ok_or(Errno::NOENT)
}

fn timespec((tv_sec, nanoseconds): (i64, u32)) -> Timespec {
    Timespec {
        tv_sec,
        tv_nsec: nanoseconds.into(),
    }
}

fn timestamps(mtime: Timespec) -> Timestamps {
    Timestamps {
        last_access: mtime,
        last_modification: mtime,
    }
}

/// Says that an archive has more in it than is allowed.
#[derive(Debug, thiserror::Error)]
#[error("too large")]
struct TooLarge;

fn is_too_large(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooLarge>())
}

/// Reads no more than is allowed, and no longer than it is wanted.
struct Bounded<R> {
    inner: R,
    left: u64,
    cancel: CancellationToken,
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
