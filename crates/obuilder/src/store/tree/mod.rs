//! Copies, removes and measures whole trees of files.
//!
//! Builds control the trees, so nothing here follows a symlink, and nothing recurses: a build may nest directories
//! deeper than the stack. Other processes may even change a tree at the same time, by a descriptor that a step has
//! passed to them, so directories are only used through open descriptors.

mod attributes;
mod clone;
mod remove;
mod usage;

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

pub(super) use attributes::{Times, attribute, copy_attributes, set_attribute};
pub(super) use clone::{copy_file, copy_if_there, copy_tree, reflink, reflink_tree};
pub use remove::remove;
pub(super) use usage::{Sharing, usage};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens the directory at the top of a tree.
fn open_top(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, DIRECTORY, Mode::empty())?)
}

/// Opens a directory of a tree by its path from the top, on which there must be no symlink.
fn open_below(top: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    open_below_as(top, path, OFlags::empty())
}

/// Opens it with further flags: with `PATH`, it need not be readable.
fn open_below_as(top: &OwnedFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(top, path, DIRECTORY | flags, Mode::empty(), resolve)
}

/// Returns a path to an open directory, even if it was moved.
fn path_to(directory: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", directory.as_raw_fd()).into()
}

/// Exchanges two files again and again.
#[cfg(test)]
fn exchange_until(stop: &std::sync::atomic::AtomicBool, a: &Path, b: &Path) {
    use rustix::fs::{RenameFlags, renameat_with};
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        // One of them may be gone.
        let _ = renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE);
    }
}
