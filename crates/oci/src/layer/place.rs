//! Creates one file under a bare name in an open directory, and replaces an existing one.

use std::fs::File;
use std::os::fd::BorrowedFd;

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::archive::Kind;
use crate::rootfs;

/// A device that means "nothing is here" to an overlay filesystem, which a result may be in.
pub(super) fn is_whiteout_device(kind: &Kind) -> bool {
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
pub(super) fn cleaned(path: &BStr) -> Option<BString> {
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
pub(super) fn split(path: &BStr) -> (&BStr, &BStr) {
    match path.rsplit_once_str(b"/") {
        Some((directory, name)) => (directory.into(), name.into()),
        None if path.is_empty() => (path, BStr::new(".")),
        None => (BStr::new(""), path),
    }
}

/// Creates a file, and replaces an existing one. Returns whether there was one.
pub(super) fn replacing(
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

pub(super) fn make_directory(parent: BorrowedFd<'_>, name: &BStr) -> Result<bool, Errno> {
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

pub(super) fn make_node(
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

pub(super) fn create(parent: BorrowedFd<'_>, name: &BStr) -> Result<(File, bool), Errno> {
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

pub(super) fn timespec((tv_sec, nanoseconds): (i64, u32)) -> Timespec {
    Timespec {
        tv_sec,
        tv_nsec: nanoseconds.into(),
    }
}

pub(super) fn timestamps(mtime: Timespec) -> Timestamps {
    Timestamps {
        last_access: mtime,
        last_modification: mtime,
    }
}
