//! The jobs that are running, and how much room is left for more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::watch;

use crate::cancel::{Cancel, Reason};

/// The jobs of a worker. Clones are the same jobs.
#[derive(Clone, Default)]
pub(crate) struct Running(Rc<Inner>);

#[derive(Default)]
struct Inner {
    /// What they weigh together.
    in_use: watch::Sender<u32>,
    jobs: RefCell<BTreeMap<u64, Cancel>>,
    next_id: Cell<u64>,
}

/// A running job's place among the others, until dropped.
#[must_use = "the job counts until this is dropped"]
pub(crate) struct Slot {
    running: Running,
    id: u64,
    weight: u32,
}

impl Running {
    /// Counts a job that starts.
    pub(crate) fn start(&self, weight: u32, cancel: Cancel) -> Slot {
        let id = self.0.next_id.get();
        self.0.next_id.set(id + 1);
        self.0.jobs.borrow_mut().insert(id, cancel);
        self.0.in_use.send_modify(|in_use| *in_use += weight);
        Slot {
            running: self.clone(),
            id,
            weight,
        }
    }

    /// Returns what the running jobs weigh.
    pub(crate) fn in_use(&self) -> u32 {
        *self.0.in_use.borrow()
    }

    /// Waits until the running jobs weigh less than `capacity`.
    pub(crate) async fn below(&self, capacity: u32) {
        let mut in_use = self.0.in_use.subscribe();
        // The sender is ours, so the wait ends only when it should.
        drop(in_use.wait_for(|in_use| *in_use < capacity).await);
    }

    /// Waits until no jobs are running.
    pub(crate) async fn idle(&self) {
        self.below(1).await;
    }

    /// Returns how many jobs are running.
    pub(crate) fn count(&self) -> usize {
        self.0.jobs.borrow().len()
    }

    /// Returns a signal that is given whenever a job starts or ends.
    pub(crate) fn changes(&self) -> watch::Receiver<u32> {
        self.0.in_use.subscribe()
    }

    /// Asks all running jobs to stop, because the worker ends.
    pub(crate) fn cancel_all(&self) {
        for job in self.0.jobs.borrow().values() {
            job.cancel_because(Reason::WorkerEnds);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.running.0.jobs.borrow_mut().remove(&self.id);
        self.running
            .0
            .in_use
            .send_modify(|in_use| *in_use -= self.weight);
    }
}
