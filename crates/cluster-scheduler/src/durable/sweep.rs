//! Removes logs that a killed scheduler has left behind: they had expired, or their jobs were removed, and they were to
//! follow.

use std::path::PathBuf;
use std::rc::Rc;

use job_store::logs::{ListedLog, LogError};
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
        if !self.partial_logs.borrow().is_empty() {
            tokio::time::sleep(self.return_timeout()).await;
            self.give_up_partial_logs().await;
        }
    }

    /// Takes logs as whole whose workers have not returned with the rest in time.
    async fn give_up_partial_logs(&self) {
        let left = std::mem::take(&mut *self.partial_logs.borrow_mut());
        for attempt in left {
            tracing::warn!(
                target: "scheduler",
                "The log of {attempt} may lack its end: its worker has not returned with it"
            );
            self.finish_log(attempt).await;
        }
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
        let is_shared = self.acknowledging_store().is_some();
        let swept = self.store.run(move |kept| {
            let reader = &mut kept.reader;
            // What cannot be looked up now may be kept.
            let is_kept = |attempt: AttemptId| {
                unsaved.contains(&attempt.job) || is_kept(reader, attempt).unwrap_or(true)
            };
            let mut removed = kept.logs.sweep(&folder, is_kept)?;
            let mut partial = Vec::new();
            let growing = |log: &ListedLog| !log.is_archived;
            let listed = kept.logs.list(&folder)?;
            for ListedLog { attempt, .. } in listed.iter().copied().filter(growing) {
                match partial_log(reader, attempt) {
                    Ok(Some(LogStatus::Uncounted)) if is_shared => partial.push(attempt),
                    Ok(Some(LogStatus::Counted)) if is_shared => {
                        kept.logs.remove_one(attempt)?;
                        removed += 1;
                    }
                    // What cannot be looked up now is as it was.
                    Ok(_) | Err(_) => {}
                }
            }
            let cached = kept.logs.cached_logs(&folder)?;
            Ok((removed, listed, cached, partial))
        });
        // `None` while the scheduler ends.
        let Some((removed, listed, cached, partial)) = swept.await.transpose()? else {
            return Ok(0);
        };
        self.note_partial(partial);
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

    /// Notes logs that may lack their ends, but for those that grow now.
    fn note_partial(&self, found: Vec<AttemptId>) {
        let state = self.state.borrow();
        let stays = |attempt: &AttemptId| state.growing_log(*attempt).is_none();
        let mut partial = self.partial_logs.borrow_mut();
        partial.extend(found.into_iter().filter(stays));
    }
}

/// Returns what the database knows of a log that was not compressed here: it may be whole, as this process was killed
/// before that; or another scheduler has led since, and has the rest. `None` if it is of an attached job: no other
/// scheduler has anything of it.
fn partial_log(
    reader: &mut Box<dyn Reader>,
    attempt: AttemptId,
) -> Result<Option<LogStatus>, StoreError> {
    let record = reader.record(attempt.job)?;
    let is_durable = record.is_some_and(|record| !record.attached);
    is_durable.then(|| reader.log_status(attempt)).transpose()
}

fn is_kept(reader: &mut Box<dyn Reader>, attempt: AttemptId) -> Result<bool, StoreError> {
    let status = reader.log_status(attempt)?;
    Ok(status != LogStatus::Removed && reader.is_kept(attempt.job)?)
}
