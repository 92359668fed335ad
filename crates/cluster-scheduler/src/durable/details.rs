//! What operators see of the jobs of all clients.

use cluster_api::{AdminJobQuery, JobDetails, ListedJob, ListedJobs, RpcError};
use job_store::{Query, Reader as _};
use jobs::{CancelledBy, JobId};
use pool::ClientId;
use visible::Shown;

use super::{DurableJobs, convert};

impl DurableJobs {
    /// Returns a page of the jobs of all clients.
    pub(crate) async fn list_all(&self, query: AdminJobQuery) -> Result<ListedJobs, RpcError> {
        let now = self.clock.unix_now();
        let AdminJobQuery { jobs, client, pool } = query;
        let Ok(client) = client.map(|client| ClientId::new(&client)).transpose() else {
            // There is no such client.
            return Ok(ListedJobs {
                jobs: Vec::new(),
                next: None,
            });
        };
        let query = Query {
            pool,
            ..convert::query(client, jobs, now)
        };
        let page = self.read(move |reader| reader.page(&query)).await?;
        let listed = page.records.iter().map(|record| ListedJob {
            summary: convert::summary(record, now),
            client: record.client.clone(),
        });
        Ok(ListedJobs {
            jobs: listed.collect(),
            next: page.next.map(job_store::Cursor::number),
        })
    }

    /// Returns the job of any client whose id this is, or whose id alone begins like this.
    pub(crate) async fn find_any(&self, id: &str) -> Result<JobId, RpcError> {
        let shown = Shown(id).to_string();
        let unknown = || {
            RpcError::failed(format!(
                "there is no job {shown:?}; list the jobs to see their ids"
            ))
        };
        let (first, last) = JobId::beginning_with(id).ok_or_else(unknown)?;
        let found = self
            .read(move |reader| reader.all_in_range(first..=last, 2))
            .await?;
        match *found {
            [job] => Ok(job),
            [] => Err(unknown()),
            _ => Err(RpcError::failed(format!(
                "several jobs begin with {shown:?}; use more of the id"
            ))),
        }
    }

    /// Returns all that is known of a job.
    pub(crate) async fn details(&self, id: &str) -> Result<JobDetails, RpcError> {
        let job = self.find_any(id).await?;
        self.known(job).await
    }

    /// Cancels a job for an operator, as [`cancel`](Self::cancel) does for its client.
    pub(crate) async fn cancel_for_operator(&self, id: &str) -> Result<JobId, RpcError> {
        let job = self.find_any(id).await?;
        self.cancel_by(job, CancelledBy::Operator).await?;
        Ok(job)
    }
}
