//! When logs were written: a file of times beside each log.
//!
//! It is `ab/abcdefghjkmn.1.times`, with 16 bytes for each time: an offset of the log, and the milliseconds from the
//! beginning of the attempt until that was written, both as little-endian numbers, in the order of the offsets. It may
//! say less of a log than there is, or more.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobs::AttemptId;

use super::{LogError, Logs, disk};

/// How the name of a file of times ends.
pub(super) const TIMES: &str = "times";

/// How many bytes a time takes.
const RECORD: usize = 16;

/// The most times that are kept of a log.
const MAX_TIMES: u64 = 64 << 10;

/// When a part of a log was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTime {
    /// Where it begins, in bytes. It ends where the next one begins.
    pub offset: u64,
    /// When its first byte was written, since the beginning of the attempt.
    pub at: Duration,
}

impl Logs {
    /// Adds times of the log of an attempt. Those are left out that do not follow what is there already, and those that
    /// are too many.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when they cannot be written.
    pub fn add_times(&self, attempt: AttemptId, times: &[LogTime]) -> Result<(), LogError> {
        let path = self.times_path(attempt);
        add(&path, times).map_err(disk("write the times of", &path))
    }

    /// Returns the latest time of the log of an attempt that is kept.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when it cannot be read.
    pub fn last_time(&self, attempt: AttemptId) -> Result<Option<LogTime>, LogError> {
        let path = self.times_path(attempt);
        let last = || match open(&path)? {
            Some(file) => file.last(),
            None => Ok(None),
        };
        last().map_err(disk("read the times of", &path))
    }

    /// Returns the times of the part of a log from `start` to `end`, first that of what is at `start`; at most so many.
    /// None if they are not known.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when they cannot be read.
    pub fn times(
        &self,
        attempt: AttemptId,
        start: u64,
        end: u64,
        at_most: usize,
    ) -> Result<Vec<LogTime>, LogError> {
        if start >= end {
            return Ok(Vec::new());
        }
        let path = self.times_path(attempt);
        let read = || match open(&path)? {
            Some(file) => file.part(start, end, at_most),
            None => Ok(Vec::new()),
        };
        read().map_err(disk("read the times of", &path))
    }

    /// Returns the file of times of a log as it is; empty if there is none.
    pub(super) fn all_times(&self, attempt: AttemptId) -> io::Result<Vec<u8>> {
        let Some(TimesFile { file, count }) = open(&self.times_path(attempt))? else {
            return Ok(Vec::new());
        };
        let count = usize::try_from(count.min(MAX_TIMES)).unwrap_or(0);
        let mut bytes = vec![0; count * RECORD];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Returns how much of the disk the times of a log take, in bytes.
    pub(super) fn times_bytes(&self, attempt: AttemptId) -> u64 {
        let metadata = self.times_path(attempt).metadata();
        metadata.map_or(0, |metadata| metadata.len())
    }

    pub(super) fn times_path(&self, attempt: AttemptId) -> PathBuf {
        self.path(attempt, TIMES)
    }
}

/// Returns the times of the part of a log from `start` to `end`, as [`Logs::times`] does, from the bytes of its file of
/// times.
pub(crate) fn times_in(bytes: &[u8], start: u64, end: u64, at_most: usize) -> Vec<LogTime> {
    if start >= end {
        return Vec::new();
    }
    let (records, _) = bytes.as_chunks::<RECORD>();
    let first = records.partition_point(|record| time_of(*record).offset <= start);
    let times = records.iter().skip(first.saturating_sub(1)).copied();
    let times = times.map(time_of).take_while(|time| time.offset < end);
    times.take(at_most).collect()
}

/// A file of times.
struct TimesFile {
    file: File,
    /// How many are complete.
    count: u64,
}

/// Opens a file of times, if there is one.
fn open(path: &Path) -> io::Result<Option<TimesFile>> {
    match File::open(path) {
        Ok(file) => TimesFile::new(file).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn add(path: &Path, times: &[LogTime]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).read(true).write(true);
    let file = TimesFile::new(options.open(path)?)?;
    let last = file.last()?.map(|last| last.offset);
    let room = usize::try_from(MAX_TIMES.saturating_sub(file.count)).unwrap_or(0);
    let new = times
        .iter()
        .filter(|time| last.is_none_or(|last| time.offset > last));
    let bytes: Vec<u8> = new.take(room).flat_map(bytes_of).collect();
    // What a killed process left of one is written over.
    file.file.write_all_at(&bytes, file.count * RECORD as u64)
}

impl TimesFile {
    fn new(file: File) -> io::Result<Self> {
        let count = file.metadata()?.len() / RECORD as u64;
        Ok(Self { file, count })
    }

    fn get(&self, index: u64) -> io::Result<LogTime> {
        let mut bytes = [0; RECORD];
        self.file.read_exact_at(&mut bytes, index * RECORD as u64)?;
        Ok(time_of(bytes))
    }

    fn last(&self) -> io::Result<Option<LogTime>> {
        let last = self.count.checked_sub(1);
        last.map(|last| self.get(last)).transpose()
    }

    /// Returns the times of a part of the log.
    fn part(&self, start: u64, end: u64, at_most: usize) -> io::Result<Vec<LogTime>> {
        let first = self.first_after(start)?.saturating_sub(1);
        let count = (self.count - first.min(self.count)).min(at_most as u64);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) * RECORD];
        self.file.read_exact_at(&mut bytes, first * RECORD as u64)?;
        let (records, _) = bytes.as_chunks::<RECORD>();
        let times = records.iter().copied().map(time_of);
        Ok(times.take_while(|time| time.offset < end).collect())
    }

    /// Returns the index of the first time after an offset.
    fn first_after(&self, offset: u64) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle)?.offset <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

fn bytes_of(LogTime { offset, at }: &LogTime) -> [u8; RECORD] {
    let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    (u128::from(*offset) | u128::from(millis) << 64).to_le_bytes()
}

fn time_of(record: [u8; RECORD]) -> LogTime {
    let number = u128::from_le_bytes(record);
    let half = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    LogTime {
        offset: half(number),
        at: Duration::from_millis(half(number >> 64)),
    }
}
