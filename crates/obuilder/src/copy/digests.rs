//! A cache of file digests, kept between runs.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::Crc;
use rustix::fs::Stat;
use sha2::{Digest as _, Sha256};

use super::files::Digest;

/// Caches digests of files, so that an unchanged source need not be read again.
///
/// There is one file for each root of a source, in a directory of our own. A file that is missing, damaged or of
/// another version counts as empty. This only costs time, so a failure to read or write one is not an error.
#[derive(Debug, Clone)]
pub struct Digests {
    directory: PathBuf,
    clock: fn() -> SystemTime,
}

/// Metadata that shows whether a file has changed. No user can set the time of its last change (`ctime`), not even
/// root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    file: FileId,
    size: i64,
    mtime: (i64, u32),
    ctime: (i64, u32),
}

/// The file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct FileId {
    device: u64,
    inode: u64,
}

/// The digests of the files below one root.
#[derive(Debug)]
pub(super) struct Table {
    known: HashMap<FileId, Known>,
    is_changed: bool,
    /// When it was loaded.
    now: SystemTime,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    key: Key,
    digest: Digest,
    /// How often the table was saved since the file was last used.
    unused: u16,
}

/// The beginning of a table's file: its kind and version.
const MAGIC: &[u8; 8] = b"obdig 1\n";

/// The size of a record, in bytes: two numbers for the file, its size, two times, `unused`, and the digest.
const RECORD_SIZE: usize = 8 + 8 + 8 + 12 + 12 + 2 + 32;

/// The most digests of a table: more than the files of the largest monorepos that are copied whole.
const MAX_RECORDS: usize = 400_000;

/// How often a table is saved before an unused file is removed from it. A build with many copies from one root saves
/// it as often as that.
const MAX_UNUSED: u16 = 100;

/// The most disk usage of all tables. Beyond it, the table that was not saved for longest is removed.
const MAX_SPACE: u64 = 64 << 20;

/// The most tables: a worker has a new root for each job.
const MAX_TABLES: usize = 64;

impl Digests {
    /// Returns the digests that are kept below a directory. No other user may write to it.
    pub fn new(state_dir: &Path) -> Self {
        Self::with_clock(state_dir, SystemTime::now)
    }

    /// Returns the same with another clock, for tests with files that were changed long ago, or just now.
    pub fn with_clock(state_dir: &Path, clock: fn() -> SystemTime) -> Self {
        Self {
            directory: state_dir.join("digests"),
            clock,
        }
    }

    /// Returns the known digests of the files below `root`.
    pub(super) fn load(&self, root: &Path) -> Table {
        let now = (self.clock)();
        let known = match read(&self.path(root)) {
            Ok(bytes) => parse(&bytes).unwrap_or_default(),
            Err(_) => HashMap::new(),
        };
        Table {
            known,
            is_changed: false,
            now,
        }
    }

    /// Saves the digests of the files below `root`.
    pub(super) fn save(&self, root: &Path, table: Table) {
        if !table.is_changed {
            return;
        }
        let result = fs::create_dir_all(&self.directory)
            .and_then(|()| write(&self.directory, &self.path(root), &table.to_bytes()))
            .and_then(|()| self.keep_small());
        if let Err(error) = result {
            // The next copy reads the files again.
            tracing::warn!(directory = ?self.directory, %error, "Cannot save the digests of copied files");
        }
    }

    fn path(&self, root: &Path) -> PathBuf {
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let name: String = digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.directory.join(name)
    }

    /// Removes the tables that were not saved for longest, until both limits are met.
    fn keep_small(&self) -> io::Result<()> {
        let mut tables: Vec<(SystemTime, u64, OsString)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // Another copy saves a table, or removes this one.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            tables.push((metadata.modified()?, metadata.len(), entry.file_name()));
        }
        tables.sort_unstable();
        let mut space: u64 = tables.iter().map(|(_, size, _)| size).sum();
        let mut count = tables.len();
        for (_, size, name) in tables {
            if space <= MAX_SPACE && count <= MAX_TABLES {
                break;
            }
            match fs::remove_file(self.directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            space = space.saturating_sub(size);
            count -= 1;
        }
        Ok(())
    }
}

impl Table {
    /// Returns the digest of a file, if it is known and the file is unchanged.
    pub(super) fn get(&mut self, key: &Key) -> Option<Digest> {
        let known = self.known.get_mut(&key.file)?;
        (known.key == *key).then(|| {
            known.unused = 0;
            known.digest
        })
    }

    /// Adds the digest of a file whose metadata was `key` both before and after it was read.
    ///
    /// A file that was changed a moment ago may change again with the same times, so its digest is not added. (Git
    /// calls such files racily clean.) It is added when the file is read the next time.
    pub(super) fn insert(&mut self, key: Key, digest: Digest) {
        let (seconds, nanoseconds) = key.ctime;
        let changed = u64::try_from(seconds)
            .ok()
            .and_then(|s| SystemTime::UNIX_EPOCH.checked_add(Duration::new(s, nanoseconds)));
        let settled = changed.and_then(|changed| changed.checked_add(tick(nanoseconds)));
        if settled.is_some_and(|settled| settled < self.now) {
            let known = Known {
                key,
                digest,
                unused: 0,
            };
            self.known.insert(key.file, known);
            self.is_changed = true;
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut records: Vec<&Known> = self
            .known
            .values()
            .filter(|known| known.unused < MAX_UNUSED)
            .collect();
        if records.len() > MAX_RECORDS {
            records.sort_unstable_by_key(|known| (known.unused, known.key.file));
            records.truncate(MAX_RECORDS);
        }
        let mut bytes = Vec::with_capacity(16 + records.len() * RECORD_SIZE);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        for known in records {
            known.encode(&mut bytes);
        }
        let (head, body) = bytes.split_at_mut(12);
        if let Some(checksum) = head.last_chunk_mut::<4>() {
            *checksum = crc(body).to_le_bytes();
        }
        bytes
    }
}

/// Returns the longest interval in which two changes may get the same time. Filesystems with a resolution of one or two
/// seconds are recognized by the missing nanoseconds; the others use the time of the kernel's last tick.
fn tick(nanoseconds: u32) -> Duration {
    match nanoseconds {
        0 => Duration::from_secs(2),
        _ => Duration::from_millis(100),
    }
}

impl Key {
    /// Returns the metadata of a file that shows whether it has changed.
    pub(super) fn of(stat: &Stat) -> Self {
        // Nanoseconds are below 1,000,000,000; any other value becomes 0, which is not trusted.
        let nanoseconds = |n| u32::try_from(n).unwrap_or(0);
        Self {
            file: FileId {
                device: stat.st_dev,
                inode: stat.st_ino,
            },
            size: stat.st_size,
            mtime: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            ctime: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }
}

impl Known {
    fn encode(&self, bytes: &mut Vec<u8>) {
        let Self {
            key:
                Key {
                    file: FileId { device, inode },
                    size,
                    mtime,
                    ctime,
                },
            digest,
            unused,
        } = self;
        bytes.extend_from_slice(&device.to_le_bytes());
        bytes.extend_from_slice(&inode.to_le_bytes());
        bytes.extend_from_slice(&size.to_le_bytes());
        for (seconds, nanoseconds) in [mtime, ctime] {
            bytes.extend_from_slice(&seconds.to_le_bytes());
            bytes.extend_from_slice(&nanoseconds.to_le_bytes());
        }
        // One more save since its last use.
        bytes.extend_from_slice(&unused.saturating_add(1).to_le_bytes());
        bytes.extend_from_slice(digest);
    }

    fn decode(record: &[u8; RECORD_SIZE]) -> Option<Self> {
        let mut rest = record.as_slice();
        Some(Self {
            key: Key {
                file: FileId {
                    device: u64::from_le_bytes(take(&mut rest)?),
                    inode: u64::from_le_bytes(take(&mut rest)?),
                },
                size: i64::from_le_bytes(take(&mut rest)?),
                mtime: time(&mut rest)?,
                ctime: time(&mut rest)?,
            },
            unused: u16::from_le_bytes(take(&mut rest)?),
            digest: take(&mut rest)?,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*first)
}

fn time(rest: &mut &[u8]) -> Option<(i64, u32)> {
    Some((
        i64::from_le_bytes(take(rest)?),
        u32::from_le_bytes(take(rest)?),
    ))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let limit = (12 + MAX_RECORDS * RECORD_SIZE) as u64;
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the records of a table's file. `None` if it is damaged: a wrong digest would give a step a wrong id.
fn parse(bytes: &[u8]) -> Option<HashMap<FileId, Known>> {
    let mut rest = bytes;
    let magic: [u8; 8] = take(&mut rest)?;
    let checksum = u32::from_le_bytes(take(&mut rest)?);
    if magic != *MAGIC || checksum != crc(rest) {
        return None;
    }
    let (records, &[]) = rest.as_chunks::<RECORD_SIZE>() else {
        return None;
    };
    let mut known = HashMap::with_capacity(records.len());
    for record in records {
        let record = Known::decode(record)?;
        known.insert(record.key.file, record);
    }
    Some(known)
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Replaces a file atomically. It is not synced: after a crash of the machine it may be damaged, which is detected.
fn write(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
