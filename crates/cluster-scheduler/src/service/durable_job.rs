//! A durable job, as a client holds it.

use std::rc::Rc;

use cluster_api::{DurableJob, DurableLogChunk, DurableStatus, RpcError, ServeDurableJob};
use jobs::JobId;

use crate::durable::DurableJobs;

pub(crate) struct DurableJobService {
    jobs: Rc<DurableJobs>,
    job: JobId,
}

impl DurableJobService {
    /// Serves a job that its client watches from now on.
    pub(crate) fn serve(jobs: Rc<DurableJobs>, job: JobId) -> DurableJob {
        DurableJob::serve(Rc::new(Self { jobs, job }))
    }
}

impl ServeDurableJob for DurableJobService {
    async fn watch(self: Rc<Self>, version: Option<u64>) -> Result<DurableStatus, RpcError> {
        self.jobs.watch(self.job, version).await
    }

    async fn log(self: Rc<Self>, attempt: u32, start: u64) -> Result<DurableLogChunk, RpcError> {
        self.jobs.log(self.job, attempt, start).await
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.jobs.cancel(self.job).await
    }

    fn released(&self) {
        self.jobs.released(self.job);
    }
}
