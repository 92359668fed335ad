//! The directory of attempts: for each a directory with its log and its times and, once it has ended, its
//! outcome.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cluster_api::{JobTimes, MAX_OUTPUT_BYTES, Outcome};
use jobs::{AttemptId, Time};

use crate::clock::unix_time;
use crate::leftovers::remove_leftover;

const LOG: &str = "log";
const OUTCOME: &str = "outcome";
/// An outcome that is being written.
const NEW_OUTCOME: &str = "outcome.new";

/// The most bytes of an outcome that are read.
const MAX_OUTCOME_BYTES: u64 = 2 * MAX_OUTPUT_BYTES as u64;

/// The most bytes of the times of an attempt that are read.
const MAX_TIMES_BYTES: u64 = 2 << 20;

/// The directory of attempts.
pub(super) struct AttemptsDir(PathBuf);

/// An attempt that an earlier process has left.
pub(super) struct Left {
    pub(super) attempt: AttemptId,
    /// When it ended, or last wrote to its log.
    pub(super) at: Time,
    /// The path of its log.
    pub(super) log: PathBuf,
    /// The length of the log. There is none if it has written nothing.
    pub(super) length: u64,
    /// `None` if it was interrupted.
    pub(super) outcome: Option<Outcome>,
}

impl AttemptsDir {
    /// Makes the directory if it is missing, and reads what is there. What is no attempt is removed.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<Left>)> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path)?;
        let mut left = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            match name.to_str().and_then(attempt_of) {
                Some(attempt) if entry.file_type()?.is_dir() => {
                    left.push(read(attempt, &entry.path())?);
                }
                Some(_) | None => remove_leftover(&entry.path()),
            }
        }
        Ok((Self(path.to_owned()), left))
    }

    /// Returns the path of the log of an attempt.
    pub(super) fn log(&self, attempt: AttemptId) -> PathBuf {
        self.of(attempt).join(LOG)
    }

    fn of(&self, AttemptId { job, number }: AttemptId) -> PathBuf {
        self.0.join(format!("{job}-{number}"))
    }

    /// Writes the outcome of an attempt, wholly or not at all.
    ///
    /// # Errors
    /// Why that is not possible.
    pub(super) async fn save_outcome(
        &self,
        attempt: AttemptId,
        outcome: Vec<u8>,
    ) -> Result<(), String> {
        let directory = self.of(attempt);
        let saved = tokio::task::spawn_blocking(move || {
            write_outcome(&directory, &outcome)
                .map_err(|error| format!("{}: {error}", directory.display()))
        });
        saved.await.map_err(|error| error.to_string())?
    }

    /// Deletes what is kept of an attempt, in the background.
    pub(super) fn delete(&self, attempt: AttemptId) {
        let directory = self.of(attempt);
        let deleted = move || {
            if directory.exists() {
                remove_leftover(&directory);
            }
        };
        drop(tokio::task::spawn_blocking(deleted));
    }
}

/// Returns the attempt whose directory has this name.
fn attempt_of(name: &str) -> Option<AttemptId> {
    let (job, number) = name.split_once('-')?;
    Some(AttemptId {
        job: job.parse().ok()?,
        number: number.parse().ok()?,
    })
}

fn read(attempt: AttemptId, directory: &Path) -> io::Result<Left> {
    let log = directory.join(LOG);
    let length = match fs::metadata(&log) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let outcome = read_outcome(&directory.join(OUTCOME))?;
    let modified = |name| fs::metadata(directory.join(name))?.modified();
    let at = modified(OUTCOME).or_else(|_| modified(LOG));
    Ok(Left {
        attempt,
        at: unix_time(at.unwrap_or_else(|_| SystemTime::now())),
        log,
        length,
        outcome,
    })
}

fn read_outcome(path: &Path) -> io::Result<Option<Outcome>> {
    let bytes = match fs::metadata(path) {
        Ok(metadata) if metadata.len() <= MAX_OUTCOME_BYTES => fs::read(path)?,
        Ok(_) => Vec::new(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match Outcome::from_bytes(&bytes) {
        Ok(outcome) => Ok(Some(outcome)),
        Err(error) => {
            tracing::warn!(
                "Cannot read {}: {error}; the attempt counts as interrupted",
                path.display()
            );
            Ok(None)
        }
    }
}

/// Reads the times that are kept beside a log. There are none if they cannot be read.
pub(super) fn read_times(path: &Path) -> JobTimes {
    let is_short = |metadata: &fs::Metadata| metadata.len() <= MAX_TIMES_BYTES;
    match fs::metadata(path) {
        Ok(metadata) if is_short(&metadata) => {}
        _ => return JobTimes::default(),
    }
    let read = fs::read(path).map_err(|error| error.to_string());
    let read = read.and_then(|bytes| JobTimes::from_bytes(&bytes).map_err(|error| error.reason));
    read.unwrap_or_else(|error| {
        tracing::warn!(
            "Cannot read {}: {error}; the attempt has no times",
            path.display()
        );
        JobTimes::default()
    })
}

fn write_outcome(directory: &Path, outcome: &[u8]) -> io::Result<()> {
    let new = directory.join(NEW_OUTCOME);
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(outcome)?;
    file.sync_all()?;
    fs::rename(&new, directory.join(OUTCOME))?;
    File::open(directory)?.sync_all()?;
    // The directory may be new.
    match directory.parent() {
        Some(attempts) => File::open(attempts)?.sync_all(),
        None => Ok(()),
    }
}
