//! Writes a tree as the entries of an archive.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use tar::{EntryType, Header};

use super::{ExportError, pad};
use crate::archive::records::{decimal, record};

/// The most of a name that fits into a header.
const MAX_NAME: usize = 100;

/// The largest number that fits into a header's field of 12 octal digits.
const MAX_OCTAL: u64 = 0o77_777_777_777;

/// Writes a tree, directory by directory.
pub(super) struct TreeWriter<'a> {
    pub(super) out: &'a mut dyn Write,
    /// The first name of each file that has several.
    pub(super) links: HashMap<(u64, u64), Vec<u8>>,
}

impl TreeWriter<'_> {
    pub(super) fn directory(
        &mut self,
        directory: &Path,
        name: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        let unreadable = |source| ExportError::Read {
            path: directory.to_owned(),
            source,
        };
        let entries = fs::read_dir(directory).map_err(unreadable)?;
        let mut entries: Vec<_> = entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()
            .map_err(unreadable)?;
        entries.sort();
        for entry in entries {
            let path = directory.join(&entry);
            let length = name.len();
            name.extend_from_slice(entry.as_bytes());
            let metadata = path
                .symlink_metadata()
                .map_err(|source| ExportError::Read {
                    path: path.clone(),
                    source,
                })?;
            if metadata.is_dir() {
                name.push(b'/');
                self.entry(&path, name, &metadata)?;
                self.directory(&path, name)?;
            } else {
                self.entry(&path, name, &metadata)?;
            }
            name.truncate(length);
        }
        Ok(())
    }

    pub(super) fn entry(
        &mut self,
        path: &Path,
        name: &[u8],
        metadata: &Metadata,
    ) -> Result<(), ExportError> {
        let unreadable = |source| ExportError::Read {
            path: path.to_owned(),
            source,
        };
        let kind = metadata.file_type();
        let mut link = Vec::new();
        let mut size = 0;
        let entry_type = if kind.is_dir() {
            EntryType::Directory
        } else if let Some(first) = self.first_name(name, metadata) {
            link = first;
            EntryType::Link
        } else if kind.is_symlink() {
            link = fs::read_link(path)
                .map_err(unreadable)?
                .into_os_string()
                .as_bytes()
                .to_vec();
            EntryType::Symlink
        } else if kind.is_file() {
            size = metadata.size();
            EntryType::Regular
        } else if kind.is_fifo() {
            EntryType::Fifo
        } else if kind.is_char_device() {
            EntryType::Char
        } else if kind.is_block_device() {
            EntryType::Block
        } else {
            // A socket means nothing without the process that listens at it.
            return Ok(());
        };
        let mut records = Vec::new();
        let header = header(name, &link, entry_type, size, metadata, &mut records)?;
        if entry_type != EntryType::Link {
            xattrs(path, &mut records).map_err(unreadable)?;
        }
        self.write_header(header, &records)
            .map_err(ExportError::Write)?;
        if size > 0 {
            self.contents(path, size)?;
        }
        Ok(())
    }

    /// Returns the name under which a file was met first. `None` if it is met for the first time, or has one name.
    pub(super) fn first_name(&mut self, name: &[u8], metadata: &Metadata) -> Option<Vec<u8>> {
        if metadata.nlink() < 2 {
            return None;
        }
        let key = (metadata.dev(), metadata.ino());
        let known = self.links.get(&key).cloned();
        if known.is_none() {
            self.links.insert(key, name.to_vec());
        }
        known
    }

    /// Writes an entry that has nothing but a name.
    pub(super) fn named(&mut self, mut header: Header, name: &[u8]) -> Result<(), ExportError> {
        let mut records = Vec::new();
        set_name(&mut header, name, &mut records);
        self.write_header(header, &records)
            .map_err(ExportError::Write)
    }

    fn write_header(&mut self, mut header: Header, records: &[u8]) -> io::Result<()> {
        if !records.is_empty() {
            let mut extended = Header::new_ustar();
            extended.set_path("PaxHeaders/file")?;
            extended.set_entry_type(EntryType::XHeader);
            extended.set_mode(0o644);
            extended.set_size(records.len() as u64);
            extended.set_mtime(0);
            extended.set_uid(0);
            extended.set_gid(0);
            extended.set_cksum();
            self.out.write_all(extended.as_bytes())?;
            self.out.write_all(records)?;
            pad(self.out, records.len() as u64)?;
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    fn contents(&mut self, path: &Path, size: u64) -> Result<(), ExportError> {
        let unreadable = |source| ExportError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file: io::Take<File> = open_itself(path).map_err(unreadable)?.take(size);
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(256 << 10)];
        let mut left = size;
        while left > 0 {
            let read = file.read(&mut buffer).map_err(unreadable)?;
            if read == 0 {
                return Err(ExportError::Changed(path.to_owned()));
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            self.out.write_all(bytes).map_err(ExportError::Write)?;
            left = left.saturating_sub(read as u64);
        }
        pad(self.out, size).map_err(ExportError::Write)
    }
}

/// Opens a file, and no link in its place.
pub(super) fn open_itself(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits() as i32;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn set_name(header: &mut Header, name: &[u8], records: &mut Vec<u8>) {
    let field = &mut header.as_old_mut().name;
    set_text(field, "path", name, records);
}

fn set_text(field: &mut [u8], key: &str, value: &[u8], records: &mut Vec<u8>) {
    let short = value.get(..MAX_NAME).unwrap_or(value);
    for (to, from) in field.iter_mut().zip(short) {
        *to = *from;
    }
    // Names that are not ASCII are read in different ways from a header, and in one from a record.
    if value.len() > MAX_NAME || !value.is_ascii() {
        record(records, key, value);
    }
}

/// Makes the header of a file, with what does not fit into it added to `records`.
fn header(
    name: &[u8],
    link: &[u8],
    entry_type: EntryType,
    size: u64,
    metadata: &Metadata,
    records: &mut Vec<u8>,
) -> Result<Header, ExportError> {
    let mut header = Header::new_ustar();
    header.set_entry_type(entry_type);
    header.set_mode(metadata.mode() & 0o7777);
    set_name(&mut header, name, records);
    let field = &mut header.as_old_mut().linkname;
    set_text(field, "linkpath", link, records);
    if size > MAX_OCTAL {
        record(records, "size", size.to_string().as_bytes());
    }
    header.set_size(size);
    for (key, id) in [("uid", metadata.uid()), ("gid", metadata.gid())] {
        // Seven octal digits.
        if id > 0o7_777_777 {
            record(records, key, id.to_string().as_bytes());
        }
    }
    header.set_uid(metadata.uid().into());
    header.set_gid(metadata.gid().into());
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    if nanoseconds != 0 || seconds < 0 || seconds.unsigned_abs() > MAX_OCTAL {
        record(records, "mtime", decimal(seconds, nanoseconds).as_bytes());
    }
    header.set_mtime(seconds.clamp(0, MAX_OCTAL as i64).unsigned_abs());
    if matches!(entry_type, EntryType::Char | EntryType::Block) {
        let device = metadata.rdev();
        let set = |header: &mut Header| {
            header.set_device_major(rustix::fs::major(device))?;
            header.set_device_minor(rustix::fs::minor(device))
        };
        set(&mut header).map_err(ExportError::Write)?;
    }
    Ok(header)
}

/// Adds the extended attributes of a file, sorted.
pub(super) fn xattrs(path: &Path, records: &mut Vec<u8>) -> io::Result<()> {
    let length = match rustix::fs::llistxattr_query(path) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    if length == 0 {
        return Ok(());
    }
    let mut names = vec![0; length];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice())?;
    names.truncate(length);
    let mut names: Vec<&[u8]> = names
        .split(|byte| *byte == 0)
        .filter(|n| !n.is_empty())
        .collect();
    names.sort_unstable();
    for name in names {
        // Of the filesystem that the result is in, or of this machine's security module.
        let Ok(text) = std::str::from_utf8(name) else {
            continue;
        };
        if text.starts_with("trusted.overlay.") || text.starts_with("user.overlay.") {
            continue;
        }
        if text == "security.selinux" {
            continue;
        }
        let length = rustix::fs::lgetxattr_query(path, text)?;
        let mut value = vec![0; length];
        let length = rustix::fs::lgetxattr(path, text, value.as_mut_slice())?;
        value.truncate(length);
        record(records, &format!("SCHILY.xattr.{text}"), &value);
    }
    Ok(())
}
