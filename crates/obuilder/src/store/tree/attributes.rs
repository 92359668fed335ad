//! Everything about a file that is not its content: owner, mode, extended attributes and times.

use std::ffi::{CStr, CString};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmod, chownat, lgetxattr,
    llistxattr, lsetxattr, utimensat,
};
use rustix::io::Errno;

/// The largest list of names, and the largest value, on Linux, in bytes.
const LARGEST: usize = 65_536;

/// Copies owner, mode and extended attributes of `from` to `to`, but not the times. Only attributes whose name passes
/// `wanted`. The order matters: a change of owner removes set-user-id bits and capabilities.
pub(in crate::store) fn copy_attributes(
    from: &Path,
    metadata: &Metadata,
    to: &Path,
    wanted: impl Fn(&CStr) -> bool,
) -> io::Result<()> {
    let owner = Some(Uid::from_raw(metadata.uid()));
    let group = Some(Gid::from_raw(metadata.gid()));
    chownat(CWD, to, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
    if !metadata.is_symlink() {
        chmod(to, Mode::from_raw_mode(metadata.mode() & 0o7777))?;
    }
    for name in names(from)? {
        if wanted(&name)
            && let Some(value) = attribute(from, &name)?
        {
            set_attribute(to, &name, &value)?;
        }
    }
    Ok(())
}

/// Returns the value of an extended attribute. `None` if the file does not have it.
pub(in crate::store) fn attribute(path: &Path, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 256];
    loop {
        match lgetxattr(path, name, &mut *value) {
            Ok(length) => {
                value.truncate(length);
                return Ok(Some(value));
            }
            Err(Errno::RANGE) if value.len() < LARGEST => value.resize(LARGEST, 0),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sets an extended attribute.
pub(in crate::store) fn set_attribute(path: &Path, name: &CStr, value: &[u8]) -> io::Result<()> {
    Ok(lsetxattr(path, name, value, XattrFlags::empty())?)
}

fn names(path: &Path) -> io::Result<Vec<CString>> {
    let mut list = vec![0; 256];
    loop {
        match llistxattr(path, &mut *list) {
            Ok(length) => {
                list.truncate(length);
                break;
            }
            Err(Errno::RANGE) if list.len() < LARGEST => list.resize(LARGEST, 0),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
    }
    let names = list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

/// The times of a file, to set on another. Set those of a directory after all its entries.
#[derive(Debug, Clone)]
pub(in crate::store) struct Times(Timestamps);

impl Times {
    /// Returns those of a file.
    pub(in crate::store) fn of(metadata: &Metadata) -> Self {
        Self(Timestamps {
            last_access: Timespec {
                tv_sec: metadata.atime(),
                tv_nsec: metadata.atime_nsec(),
            },
            last_modification: Timespec {
                tv_sec: metadata.mtime(),
                tv_nsec: metadata.mtime_nsec(),
            },
        })
    }

    /// Sets them on the file `path`.
    pub(in crate::store) fn set(&self, path: &Path) -> io::Result<()> {
        Ok(utimensat(CWD, path, &self.0, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}
