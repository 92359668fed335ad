//! Creates the files of entries.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::BorrowedFd;

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::place::{cleaned, create, make_directory, make_node, replacing, split};
use super::{BUFFER, UnpackError, Unpacker};
use crate::archive::{Archive, Entry, Kind};

impl Unpacker {
    /// Creates the file of an entry, with its attributes. Returns whether an existing file was replaced.
    pub(super) fn make(
        &mut self,
        archive: &mut Archive<impl Read>,
        entry: &mut Entry,
        path: &BString,
        parent: BorrowedFd<'_>,
        name: &BStr,
    ) -> Result<bool, UnpackError> {
        let replaced = match &entry.kind {
            Kind::File {
                size,
                parts: Some(_),
            } if *size > self.limits.unpacked => {
                // Of holes, mostly: what is stored is counted as it is read.
                let limit = self.limits.unpacked;
                return Err(UnpackError::TooLarge {
                    what: "bytes in one file",
                    limit,
                });
            }
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
}
