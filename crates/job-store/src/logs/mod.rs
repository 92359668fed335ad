//! Logs of attempts, as files: written as they grow, compressed when they are whole, readable at any offset all the
//! time.
//!
//! The log of an attempt is `ab/abcdefghjkmn.1.log` while it grows and `ab/abcdefghjkmn.1.zst` afterwards, in zstd's
//! seekable format: an offset in the middle costs one frame. It is `ab/abcdefghjkmn.1.cached.zst` once it is also in
//! a [log store](crate::log_store), so that it can be removed here. Bytes never change at an offset: a log only grows,
//! and a writer that has missed something is refused. All of this blocks; it is for a thread that may.

mod archive;
mod cached;
mod sweep;
mod times;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jobs::{AttemptId, JobId};

pub use self::cached::CachedLog;
pub use self::times::LogTime;
pub(crate) use self::times::times_in;

/// The most that one read returns, in bytes.
pub const MAX_READ_BYTES: usize = 1 << 20;

/// How many characters of an id name its folder.
const FOLDER_CHARACTERS: usize = 2;

/// How the name of a log ends that is not compressed.
const GROWING: &str = "log";

/// How the name of a log ends that is compressed.
const ARCHIVED: &str = "zst";

/// How the name of a compressed log ends that is in a log store, too.
const CACHED: &str = "cached.zst";

/// Why a log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk refused.
    #[error("cannot {verb} the log {}", path.display())]
    Disk {
        /// What was being done.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The bytes do not follow those that are there.
    #[error("the log of {attempt} has {length} bytes, and these begin at {offset}")]
    Gap {
        /// The attempt.
        attempt: AttemptId,
        /// How long its log is.
        length: u64,
        /// Where the bytes begin that were to be added.
        offset: u64,
    },
    /// It is whole: nothing can be added.
    #[error("the log of {0} is complete")]
    Complete(AttemptId),
    /// There is none.
    #[error("there is no log of {0}")]
    Missing(AttemptId),
    /// The compressed file is not what was written.
    #[error("the log {} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// A folder of logs.
#[derive(Debug)]
pub struct Logs {
    folder: PathBuf,
}

/// A log that grows. One writer has it.
#[derive(Debug)]
pub struct LogWriter {
    attempt: AttemptId,
    path: PathBuf,
    file: File,
    length: u64,
}

/// A log that there is, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedLog {
    /// Its attempt.
    pub attempt: AttemptId,
    /// Whether it is compressed, so that nothing is added to it any more.
    pub is_archived: bool,
    /// Whether it is in a log store, too.
    pub is_cached: bool,
}

/// Where the log of an attempt is.
enum LogFile {
    Growing(PathBuf),
    Archived(PathBuf),
}

impl Logs {
    /// Opens (or makes) the folder, which only its owner may read.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        fs::create_dir_all(folder)
            .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o700)))
            .map_err(disk("open", folder))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Returns a writer for the log of an attempt: a new one, or one that continues where the file ends.
    ///
    /// # Errors
    ///
    /// [`LogError::Complete`] when the log is whole, and [`LogError::Disk`] when it cannot be opened.
    pub fn write(&self, attempt: AttemptId) -> Result<LogWriter, LogError> {
        if self.archived(attempt).exists() || self.cached(attempt).exists() {
            return Err(LogError::Complete(attempt));
        }
        let path = self.growing(attempt);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(disk("write", folder))?;
        // Not for appending: Linux would then ignore the offsets at which bytes are written.
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .open(&path);
        let file = opened.map_err(disk("write", &path))?;
        let length = file.metadata().map_err(disk("write", &path))?.len();
        Ok(LogWriter {
            attempt,
            path,
            file,
            length,
        })
    }

    /// Returns how long the log of an attempt is, in bytes.
    ///
    /// # Errors
    ///
    /// [`LogError::Missing`] when there is none; else as [`read`](Self::read).
    pub fn length(&self, attempt: AttemptId) -> Result<u64, LogError> {
        match self.find(attempt)? {
            LogFile::Growing(path) => Ok(fs::metadata(&path).map_err(disk("read", &path))?.len()),
            LogFile::Archived(path) => archive::length(&path),
        }
    }

    /// Returns how much of the disk the log of an attempt takes with its times, in bytes.
    ///
    /// # Errors
    ///
    /// As [`length`](Self::length).
    pub fn stored_bytes(&self, attempt: AttemptId) -> Result<u64, LogError> {
        let (LogFile::Growing(path) | LogFile::Archived(path)) = self.find(attempt)?;
        let log = fs::metadata(&path).map_err(disk("read", &path))?.len();
        Ok(log + self.times_bytes(attempt))
    }

    /// Reads what the log of an attempt has at an offset: at most so many bytes, none at its end or after it.
    ///
    /// # Errors
    ///
    /// [`LogError::Missing`] when there is no log; [`LogError::Disk`] or [`LogError::Damaged`] when it cannot be read.
    pub fn read(
        &self,
        attempt: AttemptId,
        offset: u64,
        at_most: usize,
    ) -> Result<Vec<u8>, LogError> {
        let at_most = at_most.min(MAX_READ_BYTES);
        match self.find(attempt)? {
            LogFile::Growing(path) => {
                let read = File::open(&path).and_then(|file| read_at(file, offset, at_most));
                match read {
                    // It was archived just now.
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        self.read_archive(attempt, &self.archived(attempt), offset, at_most)
                    }
                    read => read.map_err(disk("read", &path)),
                }
            }
            LogFile::Archived(path) => self.read_archive(attempt, &path, offset, at_most),
        }
    }

    /// Reads an archive, which may get another name at any time, or be removed.
    fn read_archive(
        &self,
        attempt: AttemptId,
        path: &Path,
        offset: u64,
        at_most: usize,
    ) -> Result<Vec<u8>, LogError> {
        match archive::read(path, offset, at_most) {
            Err(LogError::Disk { source, .. }) if source.kind() == ErrorKind::NotFound => {
                match self.find(attempt)? {
                    LogFile::Archived(path) => archive::read(&path, offset, at_most),
                    LogFile::Growing(_) => Err(LogError::Missing(attempt)),
                }
            }
            read => read,
        }
    }

    /// Compresses the log of an attempt that is whole. Those who read it notice nothing. Done again, it does nothing.
    ///
    /// Returns whether it was not compressed before.
    ///
    /// # Errors
    ///
    /// [`LogError::Missing`] when there is no log; [`LogError::Disk`] when it cannot be compressed: it stays as it is
    /// then.
    pub fn archive(&self, attempt: AttemptId) -> Result<bool, LogError> {
        let growing = self.growing(attempt);
        let archived = self.archived(attempt);
        let is_new = matches!(self.find(attempt)?, LogFile::Growing(_));
        if is_new {
            archive::write(&growing, &archived)?;
        }
        tracing::trace!(target: "crash-point", point = "after-archive-rename");
        // Where both are, the process was killed between the two steps.
        remove(&growing)?;
        Ok(is_new)
    }

    /// Removes the logs of the first `attempts` attempts of a job, those that there are.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when one cannot be removed.
    pub fn remove(&self, job: JobId, attempts: u32) -> Result<(), LogError> {
        (1..=attempts).try_for_each(|number| self.remove_one(AttemptId { job, number }))
    }

    /// Removes the log of an attempt with its times, if there is one.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when it cannot be removed.
    pub fn remove_one(&self, attempt: AttemptId) -> Result<(), LogError> {
        remove(&self.times_path(attempt))?;
        remove(&self.growing(attempt))?;
        remove(&self.archived(attempt))?;
        remove(&self.cached(attempt))
    }

    fn find(&self, attempt: AttemptId) -> Result<LogFile, LogError> {
        let archived = self.archived(attempt);
        if archived.exists() {
            return Ok(LogFile::Archived(archived));
        }
        let growing = self.growing(attempt);
        if growing.exists() {
            return Ok(LogFile::Growing(growing));
        }
        // It may have been archived, or uploaded, between two looks.
        for path in [archived, self.cached(attempt)] {
            if path.exists() {
                return Ok(LogFile::Archived(path));
            }
        }
        Err(LogError::Missing(attempt))
    }

    fn growing(&self, attempt: AttemptId) -> PathBuf {
        self.path(attempt, GROWING)
    }

    fn archived(&self, attempt: AttemptId) -> PathBuf {
        self.path(attempt, ARCHIVED)
    }

    fn cached(&self, attempt: AttemptId) -> PathBuf {
        self.path(attempt, CACHED)
    }

    fn path(&self, AttemptId { job, number }: AttemptId, extension: &str) -> PathBuf {
        let id = job.to_string();
        let folder: String = id.chars().take(FOLDER_CHARACTERS).collect();
        self.folder
            .join(folder)
            .join(format!("{id}.{number}.{extension}"))
    }
}

impl LogWriter {
    /// Returns how long the log is, in bytes: where the next ones belong.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes that belong at an offset. What is there already is left out: a worker may send it again.
    ///
    /// # Errors
    ///
    /// [`LogError::Gap`] when something is missing before them; [`LogError::Disk`] when they cannot be written: the
    /// log ends then where it ended before.
    pub fn append(&mut self, offset: u64, bytes: &[u8]) -> Result<(), LogError> {
        let Self {
            attempt, length, ..
        } = *self;
        let known = length.checked_sub(offset).ok_or(LogError::Gap {
            attempt,
            length,
            offset,
        })?;
        let new = usize::try_from(known)
            .ok()
            .and_then(|known| bytes.get(known..))
            .unwrap_or_default();
        let written = self.file.write_all_at(new, length);
        if let Err(source) = written {
            // A part may be there. If it cannot be cut off, the next bytes are written over it: they are the same.
            self.file.set_len(length).ok();
            return Err(disk("write", &self.path)(source));
        }
        self.length += new.len() as u64;
        Ok(())
    }

    /// Waits until all of it is on disk.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when that is not certain.
    pub fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(disk("write", &self.path))
    }
}

fn read_at(mut file: File, offset: u64, at_most: usize) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(offset);
    if left == 0 {
        return Ok(Vec::new());
    }
    // Room for all of it, not filled with zeros before: a log is read in large pieces.
    let mut bytes = Vec::with_capacity(usize::try_from(left).unwrap_or(at_most).min(at_most));
    file.seek(SeekFrom::Start(offset))?;
    file.take(at_most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn remove(path: &Path) -> Result<(), LogError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(disk("remove", path)(error)),
        _ => Ok(()),
    }
}

fn disk(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError::Disk { verb, path, source }
}
