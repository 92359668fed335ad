//! A client's interest in a job.

use std::rc::Rc;

use jobs::JobId;

use super::DurableJobs;

/// A client watches a job for as long as this lives, also while its submission is on its way to the disk.
pub(crate) struct Watching {
    pub(crate) jobs: Rc<DurableJobs>,
    pub(crate) job: JobId,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.jobs.released(self.job);
    }
}
