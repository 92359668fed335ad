//! How durable jobs are submitted and found.

use std::rc::Rc;

use cluster_api::{JobPage, JobQuery, JobRequest, Submission};

use super::job::Access;
use super::key::random_key;
use super::{DurableError, DurableJob};
use crate::Cluster;

/// Durable jobs: they outlive the connections of this program, its scheduler and its workers.
impl Cluster {
    /// Submits a durable job. When this returns, it is on the scheduler's disk, and reaches one outcome.
    ///
    /// It is submitted again when the connection is lost on the way, which makes no second job.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no durable jobs, or refuses this one.
    pub async fn submit_durable(&self, request: &JobRequest) -> Result<DurableJob, DurableError> {
        let mut request = request.clone();
        if request.key.is_none() {
            request.key = Some(random_key()?);
        }
        let submitted = self
            .shared()
            .call(|session| Submission::from_client(session.bootstrap()).submit_durable(&request));
        let (session, (id, job)) = submitted.await?;
        let (shared, access) = (Rc::clone(self.shared()), Access::Watching(id));
        Ok(DurableJob::reached(shared, access, session, job))
    }

    /// Returns a durable job that this client has submitted, from this program or another, by its id or by the
    /// beginning of its id if that is unique. From now on it is watched.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no such job.
    pub async fn find_durable(&self, id: &str) -> Result<DurableJob, DurableError> {
        self.find(id, false).await
    }

    /// Returns a durable job like [`find_durable`](Self::find_durable), but without watching it: if it has no other
    /// watcher, it may be cancelled.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no such job.
    pub async fn observe_durable(&self, id: &str) -> Result<DurableJob, DurableError> {
        self.find(id, true).await
    }

    async fn find(&self, id: &str, observing: bool) -> Result<DurableJob, DurableError> {
        let found = self.shared().call(|session| {
            Submission::from_client(session.bootstrap()).find_with_id(id, observing)
        });
        // The beginning of an id may not stay unique.
        let (session, (id, job)) = found.await?;
        let access = match observing {
            false => Access::Watching(id),
            true => Access::Observing(id),
        };
        let shared = Rc::clone(self.shared());
        Ok(DurableJob::reached(shared, access, session, job))
    }

    /// Returns the job that the sturdy ref of this cluster shows, if it comes from [`DurableJob::share`].
    pub fn shared_durable(&self) -> DurableJob {
        DurableJob::new(Rc::clone(self.shared()), Access::Shared)
    }

    /// Returns durable jobs of this client, the latest submission first. There may be more; see [`JobPage::next`].
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no durable jobs.
    pub async fn list_durable(&self, query: &JobQuery) -> Result<JobPage, DurableError> {
        let listed = self
            .shared()
            .call(|session| Submission::from_client(session.bootstrap()).list_durable(query));
        listed.await.map(|(_, page)| page)
    }
}
