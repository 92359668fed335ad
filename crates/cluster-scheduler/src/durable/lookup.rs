//! How clients find their jobs again.

use cluster_api::{JobPage, JobQuery, RpcError};
use job_store::{Reader, Record, StoreError};
use jobs::JobId;
use pool::ClientId;
use visible::Shown;

use super::{DurableJobs, convert, ending};

impl DurableJobs {
    /// Returns the job of a client whose id this is, or whose id alone begins like this.
    pub(crate) async fn find(&self, client: &ClientId, id: &str) -> Result<JobId, RpcError> {
        let shown = Shown(id).to_string();
        let unknown = || {
            RpcError::failed(format!(
                "you have no job {shown:?}; list your jobs to see their ids"
            ))
        };
        let (first, last) = JobId::beginning_with(id).ok_or_else(unknown)?;
        let client = client.clone();
        let found = self
            .read(move |reader| reader.in_range(&client, first..=last, 2))
            .await?;
        match *found {
            [job] => Ok(job),
            [] => Err(unknown()),
            _ => Err(RpcError::failed(format!(
                "several of your jobs begin with {shown:?}; use more of the id"
            ))),
        }
    }

    /// Returns a page of the jobs of a client.
    pub(crate) async fn list(
        &self,
        client: ClientId,
        query: JobQuery,
    ) -> Result<JobPage, RpcError> {
        let now = self.clock.unix_now();
        let query = convert::query(Some(client), query, now);
        let page = self.read(move |reader| reader.page(&query)).await?;
        Ok(JobPage {
            jobs: page
                .records
                .iter()
                .map(|record| convert::summary(record, now))
                .collect(),
            next: page.next.map(job_store::Cursor::number),
        })
    }

    pub(super) async fn record(&self, job: JobId) -> Result<Option<Record>, RpcError> {
        self.read(move |reader| reader.record(job)).await
    }

    /// Reads from the store, for a client.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Box<dyn Reader>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let read = self.records.run(|kept| read(&mut kept.reader)).await;
        read.ok_or_else(ending)?.map_err(|error| {
            RpcError::failed(format!("cannot read the jobs that are kept: {error}"))
        })
    }
}
