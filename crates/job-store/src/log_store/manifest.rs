//! What an object is made of, and how each of its parts is known to be what was written.
//!
//! An object is the archive of a log as it is on disk (zstd's seekable format), then a frame with the times of the log,
//! then a frame with the manifest. Programs that read zstd skip the last two. The manifest has the digest of each part
//! that is read by itself, and ends with a code (HMAC-SHA256) with a key from the scheduler's private key. The code
//! covers the attempt's id, so that objects cannot be exchanged.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use jobs::AttemptId;
use ring::digest::{SHA256, digest};
use ring::hmac;
use zeekstd::SeekTable;

/// The first bytes of frames that decoders skip: those of the times, and of the manifest.
const TIMES_MAGIC: u32 = 0x184d_2a51;
const MANIFEST_MAGIC: u32 = 0x184d_2a52;

/// The bytes before the content of such a frame: its magic number, and its length.
const HEADER_BYTES: u64 = 8;

/// How many bytes the manifest has for each part of the archive.
const PART_BYTES: usize = 40;

/// How many bytes the code has.
const CODE_BYTES: usize = 32;

/// How many bytes the end of the manifest has: lengths, numbers, a digest and the code.
pub(super) const TAIL_BYTES: usize = 8 + 8 + 8 + 4 + 4 + 32 + CODE_BYTES;

/// The version of all this.
const VERSION: u32 = 1;

/// The most parts that a log has; one of the largest size that is kept has 8192.
const MAX_PARTS: u32 = 16 << 10;

/// The most bytes that a part has, compressed or not.
const MAX_PART_BYTES: u32 = 1 << 20;

/// The most bytes that the times take.
const MAX_TIMES_BYTES: u64 = 1 << 20;

type Digest = [u8; 32];

/// A part of an archive that is read by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// Where it ends in the object.
    end: u64,
    /// Where it ends in the log.
    log_end: u64,
    digest: Digest,
}

/// What an object is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    parts: Vec<Part>,
    archive_bytes: u64,
    times_bytes: u64,
    times_digest: Digest,
}

/// A part of a log, as it is in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its number among the parts.
    pub(super) index: usize,
    /// Where it is in the object.
    pub(super) range: Range<u64>,
    /// Where it is in the log.
    pub(super) log_range: Range<u64>,
    digest: Digest,
}

/// The end of an object, from which the rest is found.
pub(super) struct Tail {
    bytes: [u8; TAIL_BYTES],
    archive_bytes: u64,
    times_bytes: u64,
    log_bytes: u64,
    parts: u32,
}

impl Manifest {
    /// Reads what an archive is made of.
    pub(super) fn of(archive: &mut (impl Read + Seek), times: &[u8]) -> io::Result<Self> {
        let table = SeekTable::from_seekable(archive).map_err(io::Error::other)?;
        let archive_bytes = archive.seek(SeekFrom::End(0))?;
        archive.seek(SeekFrom::Start(0))?;
        let mut parts = Vec::new();
        for index in 0..table.num_frames() {
            let bytes = table.frame_size_comp(index).map_err(io::Error::other)?;
            let mut part = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
            archive.read_exact(&mut part)?;
            parts.push(Part {
                end: table.frame_end_comp(index).map_err(io::Error::other)?,
                log_end: table.frame_end_decomp(index).map_err(io::Error::other)?,
                digest: digest_of(&part),
            });
        }
        Ok(Self {
            parts,
            archive_bytes,
            times_bytes: times.len() as u64,
            times_digest: digest_of(times),
        })
    }

    /// Returns what follows the archive in its object.
    pub(super) fn trailer(&self, attempt: AttemptId, times: &[u8], key: &hmac::Key) -> Vec<u8> {
        let Self {
            parts,
            archive_bytes,
            times_bytes,
            times_digest,
        } = self;
        let mut manifest = Vec::with_capacity(parts.len() * PART_BYTES + TAIL_BYTES);
        let (mut start, mut log_start) = (0, 0);
        for Part {
            end,
            log_end,
            digest,
        } in parts
        {
            manifest.extend(small(end - start).to_le_bytes());
            manifest.extend(small(log_end - log_start).to_le_bytes());
            manifest.extend(digest);
            (start, log_start) = (*end, *log_end);
        }
        manifest.extend(archive_bytes.to_le_bytes());
        manifest.extend(times_bytes.to_le_bytes());
        manifest.extend(self.log_bytes().to_le_bytes());
        manifest.extend(small(parts.len() as u64).to_le_bytes());
        manifest.extend(VERSION.to_le_bytes());
        manifest.extend(times_digest);
        let code = hmac::sign(key, &signed(attempt, &manifest));
        manifest.extend(code.as_ref());
        let mut trailer = Vec::new();
        for (magic, content) in [(TIMES_MAGIC, times), (MANIFEST_MAGIC, manifest.as_slice())] {
            trailer.extend(magic.to_le_bytes());
            trailer.extend(small(content.len() as u64).to_le_bytes());
            trailer.extend(content);
        }
        trailer
    }

    /// Returns how long the log is.
    pub(super) fn log_bytes(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.log_end)
    }

    /// Returns how many bytes of memory this takes, about.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.parts.len() * size_of::<Part>()
    }

    /// Returns the parts that have something of a range of the log.
    pub(super) fn pieces(&self, wanted: Range<u64>) -> Vec<Piece> {
        let first = self
            .parts
            .partition_point(|part| part.log_end <= wanted.start);
        let before = first
            .checked_sub(1)
            .and_then(|before| self.parts.get(before));
        let (mut start, mut log_start) = before.map_or((0, 0), |part| (part.end, part.log_end));
        let mut pieces = Vec::new();
        for (index, part) in self.parts.iter().enumerate().skip(first) {
            if log_start >= wanted.end {
                break;
            }
            pieces.push(Piece {
                index,
                range: start..part.end,
                log_range: log_start..part.log_end,
                digest: part.digest,
            });
            (start, log_start) = (part.end, part.log_end);
        }
        pieces
    }

    /// Returns where the times are in the object.
    pub(super) fn times_range(&self) -> Range<u64> {
        let start = self.archive_bytes + HEADER_BYTES;
        start..start + self.times_bytes
    }

    /// Tells whether these are the times.
    pub(super) fn are_times(&self, times: &[u8]) -> bool {
        digest_of(times) == self.times_digest
    }
}

impl Piece {
    /// Returns what the compressed bytes of this part are, or what is wrong with them.
    pub(super) fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, String> {
        if digest_of(packed) != self.digest {
            return Err("its bytes were changed".to_owned());
        }
        let length = self.log_range.end - self.log_range.start;
        let length = usize::try_from(length).map_err(|error| error.to_string())?;
        let bytes = zstd::bulk::decompress(packed, length).map_err(|error| error.to_string())?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err("a part of it has another length".to_owned())
        }
    }
}

impl Tail {
    /// Reads the end of an object of this size. The numbers are only believed as far as they fit to each other, until
    /// [`manifest`](Self::manifest) has checked the code.
    pub(super) fn parse(end: &[u8], object_bytes: u64) -> Result<Self, String> {
        let bytes: &[u8; TAIL_BYTES] = end.last_chunk().ok_or("it is too short")?;
        let mut numbers = Numbers(bytes.as_slice());
        let tail = Self {
            bytes: *bytes,
            archive_bytes: numbers.long()?,
            times_bytes: numbers.long()?,
            log_bytes: numbers.long()?,
            parts: numbers.short()?,
        };
        let version = numbers.short()?;
        if version > VERSION && version < 256 {
            return Err(format!(
                "it has version {version}, but this program knows only version {VERSION}; use a newer program"
            ));
        }
        let is_whole = version == VERSION
            && tail.parts <= MAX_PARTS
            && tail.times_bytes <= MAX_TIMES_BYTES
            && tail
                .archive_bytes
                .checked_add(HEADER_BYTES + tail.times_bytes + HEADER_BYTES)
                .and_then(|bytes| bytes.checked_add(tail.manifest_bytes()))
                == Some(object_bytes);
        if is_whole {
            Ok(tail)
        } else {
            Err("it was cut short, or its end was changed".to_owned())
        }
    }

    /// Returns how many bytes at the end of the object are the manifest.
    pub(super) fn manifest_bytes(&self) -> u64 {
        u64::from(self.parts) * PART_BYTES as u64 + TAIL_BYTES as u64
    }

    /// Returns the manifest, of which the end of the object has all bytes.
    pub(super) fn manifest(
        self,
        attempt: AttemptId,
        end: &[u8],
        key: &hmac::Key,
    ) -> Result<Manifest, String> {
        let length = usize::try_from(self.manifest_bytes()).map_err(|error| error.to_string())?;
        let start = end.len().checked_sub(length).ok_or("it is too short")?;
        let manifest = end.get(start..).unwrap_or_default();
        let (content, code) = manifest
            .split_last_chunk::<CODE_BYTES>()
            .ok_or("it is too short")?;
        hmac::verify(key, &signed(attempt, content), code).map_err(|_| {
            "it was changed, is that of another attempt, or was written with another scheduler's key"
        })?;
        let mut numbers = Numbers(content);
        let mut parts = Vec::new();
        let (mut end, mut log_end) = (0, 0);
        for _ in 0..self.parts {
            let (packed, plain) = (numbers.short()?, numbers.short()?);
            if packed > MAX_PART_BYTES || plain > MAX_PART_BYTES {
                return Err("a part of it is too long".to_owned());
            }
            end += u64::from(packed);
            log_end += u64::from(plain);
            parts.push(Part {
                end,
                log_end,
                digest: numbers.digest()?,
            });
        }
        if end > self.archive_bytes || log_end != self.log_bytes {
            return Err("its lengths do not fit to each other".to_owned());
        }
        let mut after_version = Numbers(self.bytes.get(32..).unwrap_or_default());
        Ok(Manifest {
            parts,
            archive_bytes: self.archive_bytes,
            times_bytes: self.times_bytes,
            times_digest: after_version.digest()?,
        })
    }
}

/// Numbers and digests, one after the other.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (first, rest) = self.0.split_first_chunk().ok_or("it is too short")?;
        self.0 = rest;
        Ok(*first)
    }

    fn short(&mut self) -> Result<u32, String> {
        self.take().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Result<u64, String> {
        self.take().map(u64::from_le_bytes)
    }

    fn digest(&mut self) -> Result<Digest, String> {
        self.take()
    }
}

/// Returns what the code is of.
fn signed(attempt: AttemptId, manifest: &[u8]) -> Vec<u8> {
    let AttemptId { job, number } = attempt;
    let mut signed = format!("{job}.{number}\n").into_bytes();
    signed.extend(manifest);
    signed
}

fn digest_of(bytes: &[u8]) -> Digest {
    let mut copy = Digest::default();
    copy.copy_from_slice(digest(&SHA256, bytes).as_ref());
    copy
}

/// Returns a number that is known to be small: parts are bounded by the size of a frame, and times by their number.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
