//! A durable job, as a client holds it.

use std::cell::Cell;
use std::rc::Rc;

use cluster_api::{DurableJob, DurableLogChunk, DurableStatus, RpcError, ServeDurableJob};
use jobs::JobId;

use crate::durable::{DurableJobs, Watching};

pub(crate) struct DurableJobService {
    jobs: Rc<DurableJobs>,
    job: JobId,
    /// `None` once the client has released the job. A call in progress may outlive that.
    watching: Cell<Option<Watching>>,
}

impl DurableJobService {
    /// Serves a job that its client watches. Returns its id, too.
    pub(crate) fn serve(watching: Watching) -> (String, DurableJob) {
        let (jobs, job) = (Rc::clone(&watching.jobs), watching.job);
        let watching = Cell::new(Some(watching));
        let service = Rc::new(Self {
            jobs,
            job,
            watching,
        });
        (job.to_string(), DurableJob::serve(service))
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
        drop(self.watching.take());
    }
}
