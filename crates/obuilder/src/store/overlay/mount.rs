//! Mounts of a store, in a directory that is a mount itself, so that no other process's mounts depend on them or get them.

use std::ffi::{CString, OsStr};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags, open, statvfs,
    statx,
};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change,
    mount_remount, unmount,
};

use crate::store::StoreError;
use crate::store::error::{Cannot as _, unless};
use crate::store::tree;

/// Filesystems that the kernel takes for no upper layer, by the number that `statfs` gives.
const UNFIT: [(i64, &str); 8] = [
    (0x794c_7630, "overlayfs"),
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb"),
    (0x6573_5546, "fuse"),
    (0x4d44, "fat"),
    (0x2011_bab0, "exfat"),
    (0x0102_1997, "9p"),
];

/// What to do with a mount that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmount {
    /// Leave it: what is written to it must not end up in a result.
    Unused,
    /// Take it away. The kernel lets go of it when the last user does.
    Anyway,
}

/// Layers to mount.
#[derive(Debug)]
pub(super) struct Overlaid<'a> {
    /// What the mount is called.
    pub(super) name: &'a OsStr,
    /// The layers that are only read, the newest first.
    pub(super) below: &'a [PathBuf],
    /// The layer that is written to, with the kernel's directory for it. `None` to read only.
    pub(super) upper: Option<(&'a Path, &'a Path)>,
}

/// The directory of the mounts.
#[derive(Debug)]
pub(super) struct Mounts {
    dir: PathBuf,
    /// Whether it is a mount yet. A store that only answers from its cache needs none.
    is_ready: Mutex<bool>,
}

impl Mounts {
    /// Returns the mounts in `dir`.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            is_ready: Mutex::new(false),
        }
    }

    /// Unmounts everything, and removes the directories.
    pub(super) fn clean_up(&self) -> Result<(), StoreError> {
        unmount_all_below(&self.dir)?;
        for entry in fs::read_dir(&self.dir).cannot("read", &self.dir)? {
            let path = entry.cannot("read", &self.dir)?.path();
            fs::remove_dir(&path).cannot("remove the mount point", &path)?;
        }
        Ok(())
    }

    /// Mounts layers, and returns where.
    pub(super) fn overlay(&self, what: &Overlaid<'_>) -> Result<PathBuf, StoreError> {
        self.make_ready()?;
        let at = self.dir.join(what.name);
        fs::create_dir(&at).cannot("make", &at)?;
        let mounted = mount_overlay(&at, what.below, what.upper).cannot("mount layers on", &at);
        if mounted.is_err() {
            fs::remove_dir(&at).cannot("remove", &at)?;
        }
        mounted.map(|()| at)
    }

    /// Unmounts the mount `name`. It is no error if there is none. Returns whether there is none now.
    pub(super) fn unmount(&self, name: &OsStr, how: Unmount) -> Result<bool, StoreError> {
        let at = self.dir.join(name);
        if how == Unmount::Unused && !make_read_only(&at)? {
            return Ok(false);
        }
        let flags = match how {
            Unmount::Unused => UnmountFlags::NOFOLLOW,
            Unmount::Anyway => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
        };
        match unmount(&at, flags) {
            Err(Errno::NOENT) => return Ok(true),
            Err(Errno::BUSY) => return Ok(false),
            // Said of a directory on which nothing is mounted.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error).cannot("unmount", &at),
        }
        unless(io::ErrorKind::NotFound, fs::remove_dir(&at)).cannot("remove", &at)?;
        Ok(true)
    }

    /// Mounts the directory on itself, in private: on most machines what is mounted below a shared mount shows up in all
    /// services that have mounts of their own, and stays there.
    fn make_ready(&self) -> Result<(), StoreError> {
        let mut is_ready = self
            .is_ready
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !*is_ready {
            mount_bind(&self.dir, &self.dir).cannot("mount", &self.dir)?;
            mount_change(&self.dir, MountPropagationFlags::PRIVATE)
                .cannot("make private", &self.dir)?;
            *is_ready = true;
        }
        Ok(())
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        let is_ready = *self
            .is_ready
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if is_ready && let Err(error) = unmount(&self.dir, UnmountFlags::DETACH) {
            tracing::warn!("Cannot unmount {:?}: {error}", self.dir);
        }
    }
}

/// Makes the filesystem that is mounted at `at` read-only, for all who have it mounted or have a descriptor of anything in it:
/// containers have mounts of their own of it, and may have passed descriptors on to others. Unmounting ours ends none of that.
/// Returns whether it is so: it is not while something is open for writing anywhere.
fn make_read_only(at: &Path) -> Result<bool, StoreError> {
    match mount_remount(at, MountFlags::RDONLY, c"") {
        Ok(()) => Ok(true),
        Err(Errno::BUSY) => Ok(false),
        // Nothing is mounted there, or is any more.
        Err(Errno::INVAL | Errno::NOENT) => Ok(true),
        Err(error) => Err(error).cannot("make read-only", at),
    }
}

/// Mounts `below`, the newest first, at `at`.
///
/// Layers are named by the numbers of open files: a path might contain what separates layers or options, and a list of
/// many paths does not fit into the one page that the options may take.
fn mount_overlay(at: &Path, below: &[PathBuf], upper: Option<(&Path, &Path)>) -> io::Result<()> {
    let mut files = Vec::new();
    let mut name = |path: &Path| -> io::Result<String> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: OwnedFd = open(path, flags, Mode::empty())?;
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        files.push(file);
        Ok(name)
    };
    // What a machine's kernel may do by default makes layers depend on more than their files.
    let mut options = String::from("redirect_dir=off,metacopy=off,index=off,lowerdir=");
    for (index, layer) in below.iter().enumerate() {
        options.push_str(if index == 0 { "" } else { ":" });
        options.push_str(&name(layer)?);
    }
    // Nobody runs anything in what is only shown.
    let mut flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    if let Some((upper, work)) = upper {
        flags = MountFlags::empty();
        // Volatile: unmounting would wait until the whole disk is written back, and so would each `fsync` in a build.
        write!(
            options,
            ",upperdir={},workdir={},volatile",
            name(upper)?,
            name(work)?
        )
        .map_err(io::Error::other)?;
    }
    let options = CString::new(options)?;
    mount("overlay", at, "overlay", flags, Some(&*options))?;
    match upper {
        Some((_, work)) if statvfs(at)?.f_flag.contains(StatVfsMountFlags::RDONLY) => {
            unmount(at, UnmountFlags::DETACH)?;
            Err(why_read_only(work))
        }
        _ => Ok(()),
    }
}

/// Returns why the kernel, which does not say, mounted something read-only: it could make nothing in `work`.
fn why_read_only(work: &Path) -> io::Error {
    let made = fs::create_dir(work.join("try"));
    made.err()
        .unwrap_or_else(|| io::Error::other("the kernel made it read-only; its log says why"))
}

/// Unmounts the directory `dir` if it is a mount, and those in it that are, with whatever is mounted below.
pub(super) fn unmount_all_below(dir: &Path) -> Result<(), StoreError> {
    unmount_if_mount(dir)?;
    for entry in fs::read_dir(dir).cannot("read", dir)? {
        unmount_if_mount(&entry.cannot("read", dir)?.path())?;
    }
    Ok(())
}

fn unmount_if_mount(path: &Path) -> Result<(), StoreError> {
    // One may lie on another.
    while is_mount(path).cannot("inspect", path)? {
        unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).cannot("unmount", path)?;
    }
    Ok(())
}

fn is_mount(path: &Path) -> io::Result<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let found = statx(CWD, path, flags, StatxFlags::empty())?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Returns the name of a filesystem of which it is known that it holds no upper layer.
pub(super) fn name_of_unfit(kind: i64) -> Option<&'static str> {
    let unfit = UNFIT.iter().find(|(number, _)| *number == kind);
    unfit.map(|(_, name)| *name)
}

/// Mounts an overlay in `root`, and returns whether it did what a store needs: a directory that is removed and made anew
/// must be empty.
pub(super) fn try_out(root: &Path) -> Result<bool, StoreError> {
    let dir = root.join("trying-overlay");
    tree::remove(&dir).cannot("remove", &dir)?;
    let [below, upper, work, at] = ["below", "upper", "work", "at"].map(|name| dir.join(name));
    for path in [&below.join("dir/file"), &upper, &work, &at] {
        fs::create_dir_all(path).cannot("make", path)?;
    }
    let mounted = mount_overlay(&at, std::slice::from_ref(&below), Some((&upper, &work)));
    let worked = mounted.is_ok() && makes_anew(&at.join("dir")).unwrap_or(false);
    unmount_if_mount(&at)?;
    tree::remove(&dir).cannot("remove", &dir)?;
    Ok(worked)
}

fn makes_anew(dir: &Path) -> io::Result<bool> {
    fs::remove_dir_all(dir)?;
    fs::create_dir(dir)?;
    Ok(fs::read_dir(dir)?.next().is_none())
}
