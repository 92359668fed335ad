//! The statuses of a durable job, one after the other.

use std::fmt;

use cluster_api::{DurableStage, DurableStatus};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::{DurableError, DurableJob};

/// The statuses of a durable job, one after the other. Some may be left out when they change fast.
pub struct StatusChanges {
    job: DurableJob,
    /// The latest one.
    seen: Option<Seen>,
    /// The call for the next one, which goes on while nothing waits for it: a reader of a log waits for a change again
    /// with each piece.
    watch: Option<Watch>,
}

/// A status, and the number of the connection that it came through: when the scheduler is restarted, the version is
/// another one, and the stage may be the same.
type Seen = (u64, DurableStatus);

type Watch = LocalBoxFuture<'static, Result<Seen, DurableError>>;

impl StatusChanges {
    pub(super) fn new(job: DurableJob) -> Self {
        Self {
            job,
            seen: None,
            watch: None,
        }
    }

    /// Waits for another status than the one before; the first time, returns the present one. After the last one, that
    /// of a job that has ended, it returns that again. It is cancel safe.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no such job.
    pub async fn next(&mut self) -> Result<DurableStatus, DurableError> {
        loop {
            let Self { job, seen, watch } = self;
            let watching =
                watch.get_or_insert_with(|| later_status(job.clone(), seen.as_ref()).boxed_local());
            let latest = watching.await;
            self.watch = None;
            let (connection, status) = latest?;
            let is_news = self.seen.as_ref().is_none_or(|(of, seen)| {
                (*of == connection && seen.version != status.version) || seen.stage != status.stage
            });
            let has_ended = matches!(status.stage, DurableStage::Ended { .. });
            self.seen = Some((connection, status.clone()));
            if is_news || has_ended {
                return Ok(status);
            }
        }
    }
}

/// Waits for a later status than the one that was seen.
fn later_status(
    job: DurableJob,
    seen: Option<&Seen>,
) -> impl Future<Output = Result<Seen, DurableError>> + use<> {
    let seen = seen.map(|(connection, status)| (*connection, status.version));
    async move {
        let watched = |job: &cluster_api::DurableJob, connection| {
            let version = seen.filter(|(of, _)| *of == connection);
            job.watch(version.map_or(0, |(_, version)| version))
        };
        job.call(watched).await
    }
}

impl fmt::Debug for StatusChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusChanges")
            .field("job", &self.job)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}
