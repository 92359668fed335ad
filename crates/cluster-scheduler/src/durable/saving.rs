//! Changes on their way to the store.

use job_store::{Details, Write};
use jobs::{Change, ChangeId, JobId};

use super::DurableJobs;

impl DurableJobs {
    /// Has a change saved, together with those that follow in this turn of the event loop: often a worker is found at
    /// once for a job that was submitted.
    pub(super) fn save(&self, number: ChangeId, change: Change) {
        let details = match &change {
            Change::Submitted { new, .. } => self.take_details(new.id),
            _ => None,
        };
        let mut unsent = self.unsent.borrow_mut();
        if unsent.is_empty()
            && let Some(this) = self.this.upgrade()
        {
            tokio::task::spawn_local(async move {
                // What was woken by now goes first.
                tokio::task::yield_now().await;
                this.send_unsent();
            });
        }
        unsent.push((number, Write::new(change, details)));
    }

    /// Gives the store what is to be saved.
    pub(super) fn send_unsent(&self) {
        let unsent = self.unsent.take();
        if let (false, Some(committer)) = (unsent.is_empty(), &*self.committer.borrow()) {
            committer.save(unsent);
        }
    }

    /// Has nothing more saved of a job that was refused.
    pub(super) fn discard(&self, job: JobId) {
        self.send_unsent();
        if let Some(committer) = &*self.committer.borrow() {
            committer.discard(job);
        }
    }

    fn take_details(&self, job: JobId) -> Option<Details> {
        let details = self.state.borrow_mut().live.get_mut(&job)?.details.take();
        details.map(|details| *details)
    }
}
