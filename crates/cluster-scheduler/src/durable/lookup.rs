//! How clients find their jobs again.

use std::collections::BTreeSet;

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
        let ids = first..=last;
        let unsaved = self.attached.in_range(Some(client), &ids);
        let client = client.clone();
        let saved = self.read(move |reader| reader.in_range(&client, ids, 2));
        match *together(unsaved, saved.await?) {
            [job] => Ok(job),
            [] => Err(unknown()),
            _ => Err(RpcError::failed(format!(
                "several of your jobs begin with {shown:?}; use more of the id"
            ))),
        }
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
        let ids = first..=last;
        let unsaved = self.attached.in_range(None, &ids);
        let saved = self.read(move |reader| reader.all_in_range(ids, 2));
        match *together(unsaved, saved.await?) {
            [job] => Ok(job),
            [] => Err(unknown()),
            _ => Err(RpcError::failed(format!(
                "several jobs begin with {shown:?}; use more of the id"
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

    /// Returns what is kept of a job. An attached one is saved some time after its submission, and found before that.
    pub(super) async fn record(&self, job: JobId) -> Result<Option<Record>, RpcError> {
        match self.attached.find(job) {
            Some(attached) => Ok(Some(attached.record().into())),
            None => self.read(move |reader| reader.record(job)).await,
        }
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

/// Returns the ids of jobs that are in either list.
fn together(unsaved: Vec<JobId>, saved: Vec<JobId>) -> Vec<JobId> {
    let ids: BTreeSet<JobId> = unsaved.into_iter().chain(saved).collect();
    ids.into_iter().collect()
}
