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
            kept.logs.sweep(&folder, is_kept)
        });
        swept.await.unwrap_or(Ok(0))
    }
}

fn is_kept(reader: &mut Box<dyn Reader>, attempt: AttemptId) -> Result<bool, StoreError> {
    let status = reader.log_status(attempt)?;
    Ok(status != LogStatus::Removed && reader.is_kept(attempt.job)?)
}
