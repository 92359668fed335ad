//! Writes to a root filesystem, and never to a path outside of it.
//!
//! Its symlinks are not trusted, so a path in it is resolved as by a process that has it as its root directory. A name
//! in an open directory is used as it is, and symlinks are not followed then.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use bstr::BString;
use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::CopyError;
use super::destination::Owner;
use super::files::{self, DIRECTORY, Mark, Trail};

/// A root filesystem.
pub(super) struct Image {
    root: OwnedFd,
    /// The owner of new files.
    owner: Owner,
    /// The directories that were created here, by device and inode.
    ours: HashSet<(u64, u64)>,
    trail: Trail,
}

/// A directory in an image that is being written to.
pub(super) struct Directory {
    fd: OwnedFd,
    /// Its time of change after the copy.
    mtime: Timespec,
    /// The position of the trail before it.
    mark: Mark,
}

/// How often to retry a lookup if the system cannot guarantee that the path stays below the root, because another file
/// was renamed meanwhile.
const MAX_ATTEMPTS: usize = 10;

impl Image {
    /// Returns the image with its root at a path of this machine.
    pub(super) fn open(rootfs: &Path, owner: Owner) -> Result<Self, CopyError> {
        let trail = Trail::default();
        let root = files::open_root(rootfs).map_err(|e| cannot_write(&trail, e))?;
        Ok(Self {
            root,
            owner,
            ours: HashSet::new(),
            trail,
        })
    }

    /// Enters the root.
    pub(super) fn enter_root(&mut self) -> Result<Directory, CopyError> {
        let mark = self.trail.enter(b"")?;
        let fd = self.root.try_clone().map_err(|e| self.cannot_write(e))?;
        self.entered(fd, None, mark)
    }

    /// Enters the directory `name`. A new one gets the time of change `mtime`. An existing one keeps its mode, owner
    /// and time, and a symlink to one is followed. Any other file is replaced.
    pub(super) fn enter(
        &mut self,
        parent: &Directory,
        name: &[u8],
        mtime: i64,
    ) -> Result<Directory, CopyError> {
        let mark = self.trail.enter(name)?;
        let found = match files::open_directory(&parent.fd, name) {
            // Not a directory, or a symlink, possibly to one.
            Err(Errno::NOTDIR | Errno::LOOP) => match self.follow() {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    self.remove(parent, name)?;
                    Err(Errno::NOENT)
                }
                followed => followed,
            },
            found => found,
        };
        let fd = match found {
            Err(Errno::NOENT) => self.make(parent, name)?,
            found => found.map_err(|e| self.cannot_write(e))?,
        };
        self.entered(fd, Some(mtime), mark)
    }

    /// Leaves a directory that was entered.
    pub(super) fn leave(&mut self, directory: Directory) -> Result<(), CopyError> {
        let Directory { fd, mtime, mark } = directory;
        let stat = fs::fstat(&fd).map_err(|e| self.cannot_write(e))?;
        // Only if it has changed: on an overlay, setting the time copies the directory.
        if timespec(&stat) != mtime {
            fs::futimens(&fd, &times(mtime)).map_err(|e| self.cannot_write(e))?;
        }
        self.trail.back_to(mark);
        Ok(())
    }

    /// Creates a file with the content that `fill` writes.
    pub(super) fn file(
        &mut self,
        parent: &Directory,
        name: &[u8],
        (mode, mtime): (Mode, i64),
        fill: impl FnOnce(&mut File, &Failed<'_>) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        let mark = self.trail.enter(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = self.put(parent, name, || fs::openat(&parent.fd, name, flags, mode))?;
        let mut file = File::from(fd);
        fill(&mut file, &Failed(&self.trail))?;
        self.settle(&file, mode)?;
        fs::futimens(&file, &times(seconds(mtime))).map_err(|e| self.cannot_write(e))?;
        self.trail.back_to(mark);
        Ok(())
    }

    /// Creates a symlink.
    pub(super) fn symlink(
        &mut self,
        parent: &Directory,
        name: &[u8],
        target: &[u8],
        mtime: i64,
    ) -> Result<(), CopyError> {
        let mark = self.trail.enter(name)?;
        self.put(parent, name, || fs::symlinkat(target, &parent.fd, name))?;
        let (uid, gid) = self.ids();
        fs::chownat(&parent.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .and_then(|()| {
                let times = times(seconds(mtime));
                fs::utimensat(&parent.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            })
            .map_err(|e| self.cannot_write(e))?;
        self.trail.back_to(mark);
        Ok(())
    }

    /// Opens the directory of the trail, as a process in the image would.
    fn follow(&self) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = self.trail.path();
        let open = || {
            fs::openat2(
                &self.root,
                path.as_slice(),
                DIRECTORY,
                Mode::empty(),
                resolve,
            )
        };
        (1..MAX_ATTEMPTS)
            .map(|_| open())
            .find(|result| !matches!(result, Err(Errno::AGAIN)))
            .unwrap_or_else(open)
    }

    /// Creates a directory at a free name.
    fn make(&mut self, parent: &Directory, name: &[u8]) -> Result<OwnedFd, CopyError> {
        let mode = Mode::from_raw_mode(0o755);
        let fd = fs::mkdirat(&parent.fd, name, mode)
            .and_then(|()| files::open_directory(&parent.fd, name))
            .map_err(|e| self.cannot_write(e))?;
        self.settle(&fd, mode)?;
        let stat = fs::fstat(&fd).map_err(|e| self.cannot_write(e))?;
        self.ours.insert((stat.st_dev, stat.st_ino));
        Ok(fd)
    }

    /// Sets the final time of change of a directory, if it was created here.
    pub(super) fn date(&self, directory: &mut Directory, mtime: i64) -> Result<(), CopyError> {
        let stat = fs::fstat(&directory.fd).map_err(|e| self.cannot_write(e))?;
        if self.ours.contains(&(stat.st_dev, stat.st_ino)) {
            directory.mtime = seconds(mtime);
        }
        Ok(())
    }

    fn entered(&self, fd: OwnedFd, mtime: Option<i64>, mark: Mark) -> Result<Directory, CopyError> {
        let stat = fs::fstat(&fd).map_err(|e| self.cannot_write(e))?;
        let mtime = mtime
            .filter(|_| self.ours.contains(&(stat.st_dev, stat.st_ino)))
            .map_or_else(|| timespec(&stat), seconds);
        Ok(Directory { fd, mtime, mark })
    }

    /// Creates the entry `name` in a directory with `make`, which fails if the name exists. An existing file, symlink
    /// or empty directory is replaced.
    fn put<T>(
        &self,
        parent: &Directory,
        name: &[u8],
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T, CopyError> {
        match make() {
            Err(Errno::EXIST) => {
                self.remove(parent, name)?;
                make()
            }
            made => made,
        }
        .map_err(|e| self.cannot_write(e))
    }

    fn remove(&self, parent: &Directory, name: &[u8]) -> Result<(), CopyError> {
        match fs::unlinkat(&parent.fd, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => fs::unlinkat(&parent.fd, name, AtFlags::REMOVEDIR),
            removed => removed,
        }
        .map_err(|e| match e {
            Errno::NOTEMPTY | Errno::EXIST => CopyError::InTheWay(in_image(&self.trail)),
            e => self.cannot_write(e),
        })
    }

    /// Sets the owner of a new entry, and its mode, independent of our umask and the directory.
    fn settle(&self, file: impl AsFd, mode: Mode) -> Result<(), CopyError> {
        let Owner { uid, gid } = self.owner;
        let settle = || {
            // Only if they differ: on an overlay each change takes as long as creating the file.
            let stat = fs::fstat(&file)?;
            if (stat.st_uid, stat.st_gid) != (uid, gid) {
                let (uid, gid) = self.ids();
                fs::fchown(&file, uid, gid)?;
            }
            if Mode::from_raw_mode(stat.st_mode) != mode {
                fs::fchmod(&file, mode)?;
            }
            Ok(())
        };
        settle().map_err(|e: Errno| self.cannot_write(e))
    }

    fn ids(&self) -> (Option<Uid>, Option<Gid>) {
        let Owner { uid, gid } = self.owner;
        (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    }

    fn cannot_write(&self, source: impl Into<io::Error>) -> CopyError {
        cannot_write(&self.trail, source)
    }
}

/// Creates errors about a path in the image.
pub(super) struct Failed<'a>(&'a Trail);

impl Failed<'_> {
    /// Returns the error of a failed write at this path.
    pub(super) fn because(&self, source: impl Into<io::Error>) -> CopyError {
        cannot_write(self.0, source)
    }
}

fn cannot_write(trail: &Trail, source: impl Into<io::Error>) -> CopyError {
    CopyError::Write {
        path: in_image(trail),
        source: source.into(),
    }
}

fn in_image(trail: &Trail) -> BString {
    let mut path = BString::from("/");
    path.extend_from_slice(&trail.path());
    path
}

fn timespec(stat: &fs::Stat) -> Timespec {
    Timespec {
        tv_sec: stat.st_mtime,
        // The system's own number, which is below 1,000,000,000.
        tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
    }
}

fn seconds(tv_sec: i64) -> Timespec {
    Timespec { tv_sec, tv_nsec: 0 }
}

/// Returns a time of change, with the time of last access left as it is.
fn times(last_modification: Timespec) -> Timestamps {
    let last_access = Timespec {
        tv_sec: 0,
        tv_nsec: fs::UTIME_OMIT,
    };
    Timestamps {
        last_access,
        last_modification,
    }
}
