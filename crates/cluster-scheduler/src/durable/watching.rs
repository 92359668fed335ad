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

impl DurableJobs {
    /// A client watches a job, or the same one again.
    pub(crate) fn watch_from_now_on(self: &Rc<Self>, job: JobId) -> Watching {
        self.apply(|jobs, _| jobs.watch(job));
        Watching {
            jobs: Rc::clone(self),
            job,
        }
    }

    /// A client does not watch a job any more. Safe to call from inside the RPC system.
    fn released(&self, job: JobId) {
        self.state.borrow_mut().left.push(job);
        self.wake.notify_one();
    }
}
