//! Finds what a process that was killed has left in the folder of logs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jobs::AttemptId;

use super::archive::DRAFT_SUFFIX;
use super::times::TIMES;
use super::{ARCHIVED, CACHED, GROWING, ListedLog, LogError, Logs, disk, remove};

/// What a file in a folder of logs is.
enum Found {
    Log(ListedLog),
    /// The times of the log of an attempt.
    Times(AttemptId),
    /// An archive that was not completed.
    Draft,
}

impl Logs {
    /// Returns the folders that logs are in. To [`list`](Self::list) or [`sweep`](Self::sweep) one takes a short time.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when they cannot be listed.
    pub fn folders(&self) -> Result<Vec<PathBuf>, LogError> {
        let entries = fs::read_dir(&self.folder).map_err(disk("list", &self.folder))?;
        let paths = entries.flatten().map(|entry| entry.path());
        Ok(paths.filter(|path| path.is_dir()).collect())
    }

    /// Returns the logs in a folder, each once.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when they cannot be listed.
    pub fn list(&self, folder: &Path) -> Result<Vec<ListedLog>, LogError> {
        let mut listed = BTreeMap::new();
        for (_, found) in files(folder)? {
            if let Found::Log(log) = found {
                // Where both files are, the process was killed before it had removed the one that is not compressed.
                let known = listed.entry(log.attempt).or_insert(log);
                known.is_archived |= log.is_archived;
                known.is_cached |= log.is_cached;
            }
        }
        Ok(listed.into_values().collect())
    }

    /// Removes the logs in a folder that are not kept, and archives that were not completed. Returns how many files
    /// that were. No log may be compressed meanwhile.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when they cannot be listed or removed.
    pub fn sweep(
        &self,
        folder: &Path,
        mut is_kept: impl FnMut(AttemptId) -> bool,
    ) -> Result<u32, LogError> {
        let mut removed = 0;
        for (path, found) in files(folder)? {
            let is_left = match found {
                Found::Log(ListedLog { attempt, .. }) | Found::Times(attempt) => !is_kept(attempt),
                Found::Draft => true,
            };
            if is_left {
                remove(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Returns the files in a folder, but for those that are not ours.
fn files(folder: &Path) -> Result<impl Iterator<Item = (PathBuf, Found)>, LogError> {
    let entries = fs::read_dir(folder).map_err(disk("list", folder))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter_map(|path| {
        let found = found(path.file_name()?.to_str()?)?;
        Some((path, found))
    }))
}

/// Returns what a file of this name is.
fn found(name: &str) -> Option<Found> {
    let (job, rest) = name.split_once('.')?;
    let (number, extension) = rest.split_once('.')?;
    let attempt = AttemptId {
        job: job.parse().ok()?,
        number: number.parse().ok()?,
    };
    if extension.strip_suffix(DRAFT_SUFFIX) == Some(ARCHIVED) {
        return Some(Found::Draft);
    }
    if extension == TIMES {
        return Some(Found::Times(attempt));
    }
    let is_cached = extension == CACHED;
    let is_archived = extension == ARCHIVED || is_cached;
    let is_log = is_archived || extension == GROWING;
    is_log.then_some(Found::Log(ListedLog {
        attempt,
        is_archived,
        is_cached,
    }))
}
