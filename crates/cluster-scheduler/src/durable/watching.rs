//! A client's interest in a job.

use std::rc::Rc;

use jobs::{Departure, JobId};
use vat::Peer;

use super::DurableJobs;

/// A client watches a job for as long as this lives, also while its submission is on its way to the disk.
pub(crate) struct Watching {
    pub(crate) jobs: Rc<DurableJobs>,
    pub(crate) job: JobId,
    /// `None` for one that watches over no connection.
    pub(crate) client: Option<Peer>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let is_silent = self.client.as_ref().is_some_and(Peer::fell_silent);
        let departure = match is_silent {
            true => Departure::Silent,
            false => Departure::Closed,
        };
        self.jobs.released(self.job, departure);
    }
}

impl DurableJobs {
    /// A client watches a job, or the same one again.
    pub(crate) fn watch_from_now_on(self: &Rc<Self>, job: JobId, client: Option<Peer>) -> Watching {
        self.apply(|jobs, _| jobs.watch(job));
        Watching {
            jobs: Rc::clone(self),
            job,
            client,
        }
    }

    /// A client does not watch a job any more. Safe to call from inside the RPC system.
    fn released(&self, job: JobId, departure: Departure) {
        self.state.borrow_mut().left.push((job, departure));
        self.wake.notify_one();
    }
}
