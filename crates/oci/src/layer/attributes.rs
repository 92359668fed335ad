//! Sets the owners, modes, extended attributes and times of files.

use std::fs::File;
use std::os::fd::BorrowedFd;

use bstr::{BStr, ByteSlice as _};
use rustix::fs::{AtFlags, Gid, Mode, Uid, XattrFlags};
use rustix::io::Errno;

use super::place::{timespec, timestamps};
use super::{UnpackError, Unpacker};
use crate::archive::{Entry, Kind};
use crate::rootfs;

impl Unpacker {
    /// The owner first, since changing it takes rights away that the mode and the attributes give.
    pub(super) fn set_attributes_of_file(
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

    pub(super) fn set_attributes(
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

    pub(super) fn set_xattrs(
        &mut self,
        path: &BStr,
        entry: &Entry,
        set: impl Fn(&BStr, &[u8]) -> Result<(), Errno>,
    ) -> Result<(), UnpackError> {
        for (name, value) in &entry.xattrs {
            // They redirect an overlay filesystem to other files: an image must not set them.
            if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
                continue;
            }
            match set(name.as_ref(), value) {
                Ok(()) => {}
                // Labels of another machine's security module, or a filesystem that has no such attributes.
                Err(Errno::NOTSUP | Errno::PERM) => {
                    self.note(format!(
                        "the attribute {name:?}: not supported by the filesystem"
                    ));
                }
                Err(errno) => return Err(self.failed(path, errno)),
            }
        }
        Ok(())
    }
}
