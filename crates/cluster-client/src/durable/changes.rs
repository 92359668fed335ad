//! The statuses of a durable job, one after the other.

use cluster_api::DurableStatus;

use super::{DurableError, DurableJob};

/// The statuses of a durable job, one after the other. Some may be left out when they change fast.
#[derive(Debug)]
pub struct StatusChanges {
    job: DurableJob,
    /// The latest one, and the number of the connection that it came through: when the scheduler is restarted, the
    /// version is another one, and the stage may be the same.
    seen: Option<(u64, DurableStatus)>,
}

impl StatusChanges {
    pub(super) fn new(job: DurableJob) -> Self {
        Self { job, seen: None }
    }

    /// Waits for another status than the one before; the first time, returns the present one. After the last one, that
    /// of a job that has ended, it returns that again. It is cancel safe.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no such job.
    pub async fn next(&mut self) -> Result<DurableStatus, DurableError> {
        loop {
            let seen = self.seen.as_ref();
            let version = |connection| match seen {
                Some((of, status)) if *of == connection => status.version,
                _ => 0,
            };
            let watched =
                |job: &cluster_api::DurableJob, connection| job.watch(version(connection));
            let (connection, status) = self.job.call(watched).await?;
            let is_news = seen.is_none_or(|(of, seen)| {
                (*of == connection && seen.version != status.version) || seen.stage != status.stage
            });
            let has_ended = matches!(status.stage, cluster_api::DurableStage::Ended { .. });
            self.seen = Some((connection, status.clone()));
            if is_news || has_ended {
                return Ok(status);
            }
        }
    }
}
