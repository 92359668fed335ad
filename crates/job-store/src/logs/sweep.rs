//! Removes what a process that was killed has left in the folder of logs.

use std::fs;
use std::path::{Path, PathBuf};

use jobs::JobId;

use super::archive::DRAFT_SUFFIX;
use super::{LogError, Logs, disk, remove};

impl Logs {
    /// Returns the folders that logs are in. To [`sweep`](Self::sweep) one takes a short time.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when they cannot be listed.
    pub fn folders(&self) -> Result<Vec<PathBuf>, LogError> {
        let entries = fs::read_dir(&self.folder).map_err(disk("list", &self.folder))?;
        let paths = entries.flatten().map(|entry| entry.path());
        Ok(paths.filter(|path| path.is_dir()).collect())
    }

    /// Removes the logs in a folder whose jobs are not kept, and archives that were not completed. Returns how many
    /// files that were. No log may be compressed meanwhile.
    ///
    /// # Errors
    ///
    /// [`LogError::Disk`] when they cannot be listed or removed.
    pub fn sweep(
        &self,
        folder: &Path,
        mut is_kept: impl FnMut(JobId) -> bool,
    ) -> Result<u32, LogError> {
        let entries = fs::read_dir(folder).map_err(disk("list", folder))?;
        let mut removed = 0;
        for path in entries.flatten().map(|entry| entry.path()) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            // Other files are not ours.
            let Some(job) = name.split_once('.').and_then(|(id, _)| id.parse().ok()) else {
                continue;
            };
            if name.ends_with(DRAFT_SUFFIX) || !is_kept(job) {
                remove(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
