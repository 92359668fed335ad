//! Mounts of a store, in a directory that is a private mount itself, so that they do not appear in other mount
//! namespaces.

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
use crate::store::error::{Cannot as _, ignore};
use crate::store::tree;

/// Filesystems that cannot be an upper layer, by their number in `statfs`.
const UNSUPPORTED: [(i64, &str); 8] = [
    (0x794c_7630, "overlayfs"),
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb"),
    (0x6573_5546, "fuse"),
    (0x4d44, "fat"),
    (0x2011_bab0, "exfat"),
    (0x0102_1997, "9p"),
];

/// How to unmount a mount that may be in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmount {
    /// Only if it is unused: later writes must not end up in a result.
    IfUnused,
    /// In any case. The kernel releases it when the last process closes its files.
    Detach,
}

/// Layers to mount.
#[derive(Debug)]
pub(super) struct Overlaid<'a> {
    /// The name of the mount.
    pub(super) name: &'a OsStr,
    /// The read-only layers, the newest first.
    pub(super) below: &'a [PathBuf],
    /// The writable layer, with the kernel's work directory. `None` for a read-only mount.
    pub(super) upper: Option<(&'a Path, &'a Path)>,
}

/// The directory of the mounts.
#[derive(Debug)]
pub(super) struct Mounts {
    dir: PathBuf,
    /// Whether it is a mount yet. It becomes one with the first mount of a store.
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

    /// Mounts layers, and returns the mount point.
    pub(super) fn overlay(&self, what: &Overlaid<'_>) -> Result<PathBuf, StoreError> {
        self.make_ready()?;
        let at = self.dir.join(what.name);
        fs::create_dir(&at).cannot("create", &at)?;
        let mounted = mount_overlay(&at, what.below, what.upper).cannot("mount layers on", &at);
        if mounted.is_err() {
            fs::remove_dir(&at).cannot("remove", &at)?;
        }
        mounted.map(|()| at)
    }

    /// Unmounts the mount `name`. It is no error if there is none. Returns whether there is none now.
    pub(super) fn unmount(&self, name: &OsStr, how: Unmount) -> Result<bool, StoreError> {
        let at = self.dir.join(name);
        if how == Unmount::IfUnused && !make_read_only(&at)? {
            return Ok(false);
        }
        let flags = match how {
            Unmount::IfUnused => UnmountFlags::NOFOLLOW,
            Unmount::Detach => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
        };
        match unmount(&at, flags) {
            Err(Errno::NOENT) => return Ok(true),
            Err(Errno::BUSY) => return Ok(false),
            // The directory is not a mount.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error).cannot("unmount", &at),
        }
        ignore(io::ErrorKind::NotFound, fs::remove_dir(&at)).cannot("remove", &at)?;
        Ok(true)
    }

    /// Mounts the directory on itself as a private mount. On most machines, mounts below a shared one also appear in
    /// all services that have a mount namespace, and stay there.
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
            tracing::warn!("Cannot unmount {}: {error}", self.dir.display());
        }
    }
}

/// Makes the filesystem that is mounted at `at` read-only for all processes that have it mounted, or have a descriptor
/// in it. Containers have their own mounts of it, and may have passed descriptors to other processes; unmounting ours
/// does not end these. Returns `false` if a process has a file in it open for writing.
fn make_read_only(at: &Path) -> Result<bool, StoreError> {
    match mount_remount(at, MountFlags::RDONLY, c"") {
        Ok(()) => Ok(true),
        Err(Errno::BUSY) => Ok(false),
        // It is not a mount, or no longer.
        Err(Errno::INVAL | Errno::NOENT) => Ok(true),
        Err(error) => Err(error).cannot("make read-only", at),
    }
}

/// Mounts `below`, the newest first, at `at`.
///
/// Layers are named by the numbers of open files: a path may contain the separators of layers or options, and many
/// paths do not fit into one page, the limit of the options.
fn mount_overlay(at: &Path, below: &[PathBuf], upper: Option<(&Path, &Path)>) -> io::Result<()> {
    let mut files = Vec::new();
    let mut name = |path: &Path| -> io::Result<String> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: OwnedFd = open(path, flags, Mode::empty())?;
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        files.push(file);
        Ok(name)
    };
    // With other settings, which may be the kernel's defaults, layers depend on more than their files.
    let mut options = String::from("redirect_dir=off,metacopy=off,index=off,lowerdir=");
    for (index, layer) in below.iter().enumerate() {
        options.push_str(if index == 0 { "" } else { ":" });
        options.push_str(&name(layer)?);
    }
    // No program runs in a read-only view.
    let mut flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    if let Some((upper, work)) = upper {
        flags = MountFlags::empty();
        // Volatile: otherwise unmounting, and each `fsync` in a build, would wait for the whole disk.
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

/// Finds out why the kernel mounted an overlay read-only, which it does not report: it cannot write to `work`.
fn why_read_only(work: &Path) -> io::Error {
    let made = fs::create_dir(work.join("try"));
    made.err().unwrap_or_else(|| {
        io::Error::other("the kernel mounted it read-only; see the kernel's log")
    })
}

/// Unmounts the directory `dir` and the directories in it, if they are mounts, with all mounts below.
pub(super) fn unmount_all_below(dir: &Path) -> Result<(), StoreError> {
    unmount_if_mount(dir)?;
    for entry in fs::read_dir(dir).cannot("read", dir)? {
        unmount_if_mount(&entry.cannot("read", dir)?.path())?;
    }
    Ok(())
}

fn unmount_if_mount(path: &Path) -> Result<(), StoreError> {
    // Mounts may be stacked.
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

/// Returns the name of a filesystem that is known not to support upper layers.
pub(super) fn unsupported_name(kind: i64) -> Option<&'static str> {
    let unsupported = UNSUPPORTED.iter().find(|(number, _)| *number == kind);
    unsupported.map(|(_, name)| *name)
}

/// Mounts an overlay in `root`, and returns whether it works as a store needs it: a directory that is removed and
/// created again must be empty.
pub(super) fn supports_overlay(root: &Path) -> Result<bool, StoreError> {
    let dir = root.join("trying-overlay");
    tree::remove(&dir).cannot("remove", &dir)?;
    let [below, upper, work, at] = ["below", "upper", "work", "at"].map(|name| dir.join(name));
    for path in [&below.join("dir/file"), &upper, &work, &at] {
        fs::create_dir_all(path).cannot("create", path)?;
    }
    let mounted = mount_overlay(&at, std::slice::from_ref(&below), Some((&upper, &work)));
    let worked = mounted.is_ok() && recreates_empty(&at.join("dir")).unwrap_or(false);
    unmount_if_mount(&at)?;
    tree::remove(&dir).cannot("remove", &dir)?;
    Ok(worked)
}

fn recreates_empty(dir: &Path) -> io::Result<bool> {
    fs::remove_dir_all(dir)?;
    fs::create_dir(dir)?;
    Ok(fs::read_dir(dir)?.next().is_none())
}
