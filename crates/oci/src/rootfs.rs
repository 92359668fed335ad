//! A root filesystem that is written to from outside, in which nothing can point outside.
//!
//! The links in an image are not trusted. Every directory is therefore resolved by the kernel with this root in the
//! place of `/`, links and `..` included, and everything is done to a bare name in a directory that is held open.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::{Errno, Result};

/// The most links that lead to one directory: the kernel's own limit.
const MAX_LINKS: usize = 40;

/// How often a lookup is retried because something on the machine was renamed meanwhile.
const MAX_LOOKUPS: usize = 1000;

/// How deep directories may be nested that are removed.
const MAX_DEPTH: usize = 4096;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A root filesystem that is held open.
#[derive(Debug)]
pub(crate) struct Rootfs {
    root: OwnedFd,
    path: PathBuf,
}

impl Rootfs {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            root: rustix::fs::open(path, DIRECTORY, Mode::empty())?,
            path: path.to_owned(),
        })
    }

    /// Returns where something is on the machine, to be shown to people.
    pub(crate) fn shown(&self, path: &BStr) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// Opens a directory. Links are followed as a process in there would.
    pub(crate) fn directory(&self, path: &BStr) -> Result<OwnedFd> {
        self.open_in_root(path, DIRECTORY)
    }

    /// Opens a directory as itself, not what it may be a link to.
    pub(crate) fn directory_itself(&self, path: &BStr) -> Result<OwnedFd> {
        self.open_in_root(path, DIRECTORY | OFlags::NOFOLLOW)
    }

    fn open_in_root(&self, path: &BStr, flags: OFlags) -> Result<OwnedFd> {
        let path = if path.is_empty() {
            BStr::new(".")
        } else {
            path
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..MAX_LOOKUPS {
            let opened =
                rustix::fs::openat2(&self.root, path.as_bytes(), flags, Mode::empty(), resolve);
            if !matches!(opened, Err(Errno::AGAIN | Errno::INTR)) {
                return opened;
            }
        }
        Err(Errno::AGAIN)
    }

    /// Opens a directory as [`directory`](Self::directory) does, and creates the missing directories of its path. Calls
    /// `made` for each new one. Their parents keep their times of change.
    pub(crate) fn make_directory(
        &self,
        path: &BStr,
        mut made: impl FnMut(&BStr, BorrowedFd<'_>) -> Result<()>,
    ) -> Result<OwnedFd> {
        match self.directory(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        // What a link points to may be missing, too. So the way is walked as the kernel would.
        let mut ahead: VecDeque<BString> = names(path).collect();
        let mut here = BString::default();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                let end = here.rfind_byte(b'/').unwrap_or(0);
                here.truncate(end);
                continue;
            }
            let parent = self.directory_itself(here.as_ref())?;
            let below = joined(here.as_ref(), name.as_ref());
            match rustix::fs::readlinkat(&parent, name.as_bytes(), Vec::new()) {
                Ok(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::LOOP);
                    }
                    let target = BStr::new(target.to_bytes());
                    if target.starts_with(b"/") {
                        here.clear();
                    }
                    for name in names(target).rev() {
                        ahead.push_front(name);
                    }
                    continue;
                }
                Err(Errno::NOENT) => {
                    let before = rustix::fs::fstat(&parent)?;
                    rustix::fs::mkdirat(&parent, name.as_bytes(), Mode::from_raw_mode(0o755))?;
                    let new = open_directory(parent.as_fd(), name.as_ref())?;
                    made(below.as_ref(), new.as_fd())?;
                    rustix::fs::utimensat(&parent, ".", &times_of(&before), AtFlags::empty())?;
                }
                // It is there, and no link.
                Err(Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
            here = below;
        }
        self.directory_itself(here.as_ref())
    }
}

/// Returns the times that a file is given back: that of its last change.
pub(crate) fn times_of(stat: &Stat) -> Timestamps {
    let mtime = Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
    };
    Timestamps {
        last_access: mtime,
        last_modification: mtime,
    }
}

/// Returns the path of a name in a directory of the root.
pub(crate) fn joined(directory: &BStr, name: &BStr) -> BString {
    let mut path = directory.to_owned();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Returns the names on a path, without those that change nothing.
pub(crate) fn names(path: &BStr) -> impl DoubleEndedIterator<Item = BString> + '_ {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(BString::from)
}

/// Opens a directory by its bare name, for reading.
pub(crate) fn open_directory(parent: BorrowedFd<'_>, name: &BStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name.as_bytes(), flags, Mode::empty())
}

/// Returns a path to a bare name in an open directory, for the calls that take nothing else.
pub(crate) fn path_in(parent: BorrowedFd<'_>, name: &BStr) -> PathBuf {
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd()));
    path.push(OsStr::from_bytes(name));
    path
}

/// Removes the file or tree with this name in a directory, if there is one.
pub(crate) fn remove(parent: BorrowedFd<'_>, name: &BStr) -> Result<()> {
    match rustix::fs::unlinkat(parent, name.as_bytes(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            remove_from(&open_directory(parent, name)?, 0, &mut |_, _| false)?;
            rustix::fs::unlinkat(parent, name.as_bytes(), AtFlags::REMOVEDIR)
        }
        Err(error) => Err(error),
    }
}

/// Removes the entries of a directory, except those that `keeps` selects and the directories on the path to them.
/// Returns whether any stayed.
pub(crate) fn remove_from(
    directory: &OwnedFd,
    depth: usize,
    keeps: &mut impl FnMut(u64, &BStr) -> bool,
) -> Result<bool> {
    if depth > MAX_DEPTH {
        return Err(Errno::NAMETOOLONG);
    }
    let inode = rustix::fs::fstat(directory)?.st_ino;
    let mut stays = false;
    // Read to the end first: what is removed while a directory is being read may hide something from the reader.
    let entries: Vec<_> = Dir::read_from(directory)?.collect::<Result<_>>()?;
    for entry in entries {
        let name = BStr::new(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let kept = keeps(inode, name);
        let mut filled = false;
        if is_directory(directory, name, entry.file_type())? {
            let inner = open_directory(directory.as_fd(), name)?;
            filled = remove_from(&inner, depth + 1, keeps)?;
            if !kept && !filled {
                rustix::fs::unlinkat(directory, name.as_bytes(), AtFlags::REMOVEDIR)?;
            }
        } else if !kept {
            rustix::fs::unlinkat(directory, name.as_bytes(), AtFlags::empty())?;
        }
        stays |= kept || filled;
    }
    Ok(stays)
}

fn is_directory(parent: &OwnedFd, name: &BStr, known: FileType) -> Result<bool> {
    if known != FileType::Unknown {
        return Ok(known == FileType::Directory);
    }
    let stat = rustix::fs::statat(parent, name.as_bytes(), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Removes the entries of a directory of this program.
pub(crate) fn empty(path: &Path) -> std::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    remove_from(&directory, 0, &mut |_, _| false)?;
    Ok(())
}
