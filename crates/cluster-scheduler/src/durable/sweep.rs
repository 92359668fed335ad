//! Removes logs that a killed scheduler has left behind: they had expired, or their jobs were removed, and they were to
//! follow.

use std::path::PathBuf;
use std::rc::Rc;

use job_store::logs::LogError;
use job_store::{LogStatus, Reader, StoreError};
use jobs::AttemptId;

use super::DurableJobs;

impl DurableJobs {
    /// Looks through all logs, a folder at a time, so that what else is read or written in between waits only shortly.
    /// Logs are compressed afterwards: an archive in the making would be taken for one that was left behind.
    pub(super) async fn sweep_logs(self: Rc<Self>) {
        match self.sweep_folders().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(
                target: "scheduler",
                "Removed {files} files of logs that an earlier process had left behind"
            ),
            Err(error) => tracing::warn!(
                target: "scheduler",
                "Cannot remove the logs that an earlier process has left behind: {error}"
            ),
        }
        self.archiver.begin();
    }

    async fn sweep_folders(&self) -> Result<u32, LogError> {
        let mut files: u32 = 0;
        // `None` while the scheduler ends.
        let folders = self.store.run(|kept| kept.logs.folders()).await;
        for folder in folders.transpose()?.unwrap_or_default() {
            files = files.saturating_add(self.sweep_folder(folder).await?);
        }
        Ok(files)
    }

    async fn sweep_folder(&self, folder: PathBuf) -> Result<u32, LogError> {
        // Those of a job that comes later are written after this.
        let unsaved = self.attached.ids();
        let swept = self.store.run(move |kept| {
            let reader = &mut kept.reader;
            // What cannot be looked up now may be kept.
            let is_kept = |attempt: AttemptId| {
                unsaved.contains(&attempt.job) || is_kept(reader, attempt).unwrap_or(true)
            };
            let removed = kept.logs.sweep(&folder, is_kept)?;
            let listed = kept.logs.list(&folder)?;
            let cached = kept.logs.cached_logs(&folder)?;
            Ok((removed, listed, cached))
        });
        // `None` while the scheduler ends.
        let Some((removed, listed, cached)) = swept.await.transpose()? else {
            return Ok(0);
        };
        if let Some(store) = &self.log_store {
            store.found_cached(cached);
            // Also those that were counted before there was a store.
            let to_upload = listed
                .iter()
                .filter(|log| log.is_archived && !log.is_cached);
            to_upload.for_each(|log| store.upload(log.attempt));
        }
        Ok(removed)
    }
}

fn is_kept(reader: &mut Box<dyn Reader>, attempt: AttemptId) -> Result<bool, StoreError> {
    let status = reader.log_status(attempt)?;
    Ok(status != LogStatus::Removed && reader.is_kept(attempt.job)?)
}
