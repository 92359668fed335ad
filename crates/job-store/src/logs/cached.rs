//! Logs that are in a log store, too: they can be removed here at any time.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use jobs::AttemptId;

use super::{LogError, Logs, disk, remove};

/// A log on disk that is in a log store, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedLog {
    /// Its attempt.
    pub attempt: AttemptId,
    /// How many bytes it takes with its times.
    pub bytes: u64,
    /// When it was compressed.
    pub since: SystemTime,
}

impl Logs {
    /// Opens the archive of a log that is to be uploaded, and reads its times. `None` if there is nothing to upload: it
    /// was removed, or [`uploaded`](Self::uploaded) before.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when it cannot be read.
    pub fn for_upload(&self, attempt: AttemptId) -> Result<Option<(File, Vec<u8>)>, LogError> {
        let path = self.archived(attempt);
        let archive = match File::open(&path) {
            Ok(archive) => archive,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk("read", &path)(error)),
        };
        let times = self
            .all_times(attempt)
            .map_err(disk("read the times of", &path))?;
        Ok(Some((archive, times)))
    }

    /// Notes that the archive of a log is in a log store. Returns whether it is still here: its job may have been
    /// removed meanwhile.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when it cannot be noted. It is uploaded again then.
    pub fn uploaded(&self, attempt: AttemptId) -> Result<bool, LogError> {
        let path = self.archived(attempt);
        match fs::rename(&path, self.cached(attempt)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(self.cached(attempt).exists()),
            Err(error) => Err(disk("rename", &path)(error)),
        }
    }

    /// Returns what is known of a log that is in a log store, too; `None` if it is not here.
    pub fn cached_log(&self, attempt: AttemptId) -> Option<CachedLog> {
        let metadata = self.cached(attempt).metadata().ok()?;
        Some(CachedLog {
            attempt,
            bytes: metadata.len() + self.times_bytes(attempt),
            since: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        })
    }

    /// Returns the logs in a folder that are in a log store, too.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when they cannot be listed.
    pub fn cached_logs(&self, folder: &Path) -> Result<Vec<CachedLog>, LogError> {
        let listed = self.list(folder)?.into_iter();
        let cached = listed.filter(|log| log.is_cached);
        Ok(cached
            .filter_map(|log| self.cached_log(log.attempt))
            .collect())
    }

    /// Removes a log that is in a log store, with its times. One that is not there stays.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when it cannot be removed.
    pub fn remove_cached(&self, attempt: AttemptId) -> Result<(), LogError> {
        let cached = self.cached(attempt);
        if cached.exists() {
            remove(&cached)?;
            remove(&self.times_path(attempt))?;
        }
        Ok(())
    }
}
