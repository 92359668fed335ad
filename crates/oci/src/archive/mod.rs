//! Reads tar archives, of which any may have been made to do harm.
//!
//! The headers are the `tar` crate's. The loop over entries is ours, because that crate sets no limit to the length of
//! names, and takes a line feed in an extended attribute for the end of it.

pub(crate) mod records;

use std::io::{self, Read};

use bstr::BString;
use tar::{EntryType, GnuSparseHeader, Header};

use records::{Described, read_records};

/// The most that may describe one entry: names are at most 4 KiB, attributes 64 KiB each.
const MAX_DESCRIPTION: u64 = 1 << 20;

/// The longest name, or target of a link: more than a system call takes.
const MAX_NAME: usize = 4096;

/// The most parts of one sparse file.
const MAX_PARTS: usize = 100_000;

const BLOCK: usize = 512;

/// An archive that is read from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    reader: R,
    /// What is left of the entry before, with what fills its last block.
    unread: u64,
}

/// One file of an archive.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) path: BString,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, u32),
    pub(crate) xattrs: Vec<(BString, Vec<u8>)>,
    /// How many bytes of the archive are its contents.
    stored: u64,
}

/// What an entry is.
#[derive(Debug, Default)]
pub(crate) enum Kind {
    #[default]
    Directory,
    File {
        size: u64,
        /// The parts that are not holes: offset and length. `None` when all of it is stored.
        parts: Option<Vec<(u64, u64)>>,
    },
    Symlink(BString),
    HardLink(BString),
    Fifo,
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, unread: 0 }
    }

    /// Returns the next entry, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Entry>> {
        self.skip_rest()?;
        let mut described = Described::default();
        // Of all headers together: there may be any number before an entry.
        let mut left = MAX_DESCRIPTION;
        loop {
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size = header.entry_size()?;
            match header.entry_type() {
                EntryType::GNULongName => described.path = Some(self.long_name(size, &mut left)?),
                EntryType::GNULongLink => described.link = Some(self.long_name(size, &mut left)?),
                EntryType::XHeader => {
                    let records = self.description(size, &mut left)?;
                    read_records(&records, &mut described)?;
                }
                // Applies to all entries: in practice, the commit that `git archive` packed.
                EntryType::XGlobalHeader => drop(self.description(size, &mut left)?),
                _ => return self.entry(&header, described).map(Some),
            }
        }
    }

    /// Reads from the contents of the last entry; returns 0 at their end.
    pub(crate) fn read(&mut self, entry: &mut Entry, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(entry.stored)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self
            .reader
            .read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 && most > 0 {
            return Err(cut_off());
        }
        entry.stored = entry.stored.saturating_sub(read as u64);
        self.unread = self.unread.saturating_sub(read as u64);
        Ok(read)
    }

    /// Reads the rest of the file or stream, so that all of it was read.
    pub(crate) fn finish(mut self) -> io::Result<R> {
        io::copy(&mut self.reader, &mut io::sink())?;
        Ok(self.reader)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let rest = self.unread;
        self.unread = 0;
        if io::copy(&mut (&mut self.reader).take(rest), &mut io::sink())? < rest {
            return Err(cut_off());
        }
        Ok(())
    }

    /// Reads a block. `None` at the end of the file.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(cut_off()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(block))
    }

    fn header(&mut self) -> io::Result<Option<Header>> {
        // An archive that ends without its two empty blocks is as good as one with them: some programs leave them out.
        let Some(block) = self
            .block()?
            .filter(|block| block.iter().any(|byte| *byte != 0))
        else {
            return Ok(None);
        };
        let header = Header::from_byte_slice(&block).clone();
        if !has_checksum(&header) {
            return Err(invalid(
                "not a tar archive, or a damaged one: wrong checksum of a header",
            ));
        }
        Ok(Some(header))
    }

    /// Reads a header that describes an entry, for which there is `left` as much room.
    fn description(&mut self, size: u64, left: &mut u64) -> io::Result<Vec<u8>> {
        // An empty one takes room, too, or there could be any number of them.
        let room = size.saturating_add(BLOCK as u64);
        *left = left
            .checked_sub(room)
            .ok_or_else(|| invalid("an entry's name or attributes are too long"))?;
        let mut bytes = Vec::new();
        if (&mut self.reader).take(size).read_to_end(&mut bytes)? as u64 != size {
            return Err(cut_off());
        }
        self.unread = padding(size);
        self.skip_rest()?;
        Ok(bytes)
    }

    fn long_name(&mut self, size: u64, left: &mut u64) -> io::Result<BString> {
        let bytes = self.description(size, left)?;
        let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(name.into())
    }

    fn entry(&mut self, header: &Header, described: Described) -> io::Result<Entry> {
        let path: BString = described
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned().into());
        let link = || {
            let link = header
                .link_name_bytes()
                .map(|link| BString::from(link.into_owned()));
            described.link.clone().or(link).unwrap_or_default()
        };
        if path.len() > MAX_NAME || link().len() > MAX_NAME {
            return Err(invalid(&format!(
                "an entry's name, or the target of its link, has more than {MAX_NAME} bytes"
            )));
        }
        let stored = described.size.map_or_else(|| header.entry_size(), Ok)?;
        let (kind, stored) = match header.entry_type() {
            // In the oldest format, only the name marks a directory.
            EntryType::Regular if path.ends_with(b"/") => (Kind::Directory, 0),
            EntryType::Regular | EntryType::Continuous => (
                Kind::File {
                    size: stored,
                    parts: None,
                },
                stored,
            ),
            EntryType::GNUSparse => (self.sparse(header, stored)?, stored),
            EntryType::Directory => (Kind::Directory, 0),
            EntryType::Symlink => (Kind::Symlink(link()), 0),
            EntryType::Link => (Kind::HardLink(link()), 0),
            EntryType::Fifo => (Kind::Fifo, 0),
            kind @ (EntryType::Char | EntryType::Block) => {
                let device = Kind::Device {
                    block: kind == EntryType::Block,
                    major: header.device_major()?.unwrap_or_default(),
                    minor: header.device_minor()?.unwrap_or_default(),
                };
                (device, 0)
            }
            other => {
                let byte = char::from(other.as_byte());
                return Err(invalid(&format!(
                    "{path:?} is of a kind that is not known: {byte:?}"
                )));
            }
        };
        self.unread = stored.saturating_add(padding(stored));
        Ok(Entry {
            kind,
            mode: header.mode()? & 0o7777,
            uid: id(described.uid.map_or_else(|| header.uid(), Ok)?)?,
            gid: id(described.gid.map_or_else(|| header.gid(), Ok)?)?,
            mtime: match described.mtime {
                Some(mtime) => mtime,
                None => (i64::try_from(header.mtime()?).unwrap_or_default(), 0),
            },
            xattrs: described.xattrs,
            path,
            stored,
        })
    }

    /// Reads the map of a sparse file as GNU tar writes it.
    fn sparse(&mut self, header: &Header, stored: u64) -> io::Result<Kind> {
        let bad = || invalid("the map of a sparse file is wrong");
        let gnu = header.as_gnu().ok_or_else(bad)?;
        let mut parts = Vec::new();
        let mut add = |part: &GnuSparseHeader| -> io::Result<()> {
            if !part.is_empty() {
                parts.push((part.offset()?, part.length()?));
            }
            if parts.len() > MAX_PARTS {
                Err(bad())
            } else {
                Ok(())
            }
        };
        gnu.sparse.iter().try_for_each(&mut add)?;
        let mut more = gnu.is_extended();
        while more {
            let block = self.block()?.ok_or_else(cut_off)?;
            let mut map = tar::GnuExtSparseHeader::new();
            map.as_mut_bytes().copy_from_slice(&block);
            map.sparse().iter().try_for_each(&mut add)?;
            more = map.is_extended();
        }
        let size = gnu.real_size()?;
        let mut end = 0;
        let mut sum = 0_u64;
        for (offset, length) in &parts {
            if *offset < end {
                return Err(bad());
            }
            end = offset
                .checked_add(*length)
                .filter(|end| *end <= size)
                .ok_or_else(bad)?;
            sum = sum.saturating_add(*length);
        }
        if sum != stored {
            return Err(bad());
        }
        Ok(Kind::File {
            size,
            parts: Some(parts),
        })
    }
}

/// Returns whether the checksum of a header is right.
pub(crate) fn has_checksum(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let sum = |range: &[u8]| range.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    // The checksum is computed with spaces in its own place.
    let expected = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
    header.cksum().is_ok_and(|sum| sum == expected)
}

fn id(id: u64) -> io::Result<u32> {
    // The last one means "leave it" to the system.
    u32::try_from(id)
        .ok()
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| invalid(&format!("no user or group can have the number {id}")))
}

fn padding(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn cut_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "it ends in the middle of a file",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_as_long_as_memory_is_refused() {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        let endless = header.as_bytes().chain(io::repeat(b'x'));
        let error = Archive::new(endless).next().unwrap_err();
        assert_eq!(
            error.to_string(),
            "an entry's name or attributes are too long"
        );
    }
}
