//! The jobs of one connection, by number. The scheduler and the worker count in the same way, so that a number
//! identifies a job on both sides.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::cancel::{Cancel, Reason};

/// The jobs that have arrived over one connection and not ended. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct ConnectionJobs(Rc<RefCell<HashMap<u64, Cancel>>>);

/// A job's entry, until dropped.
#[must_use = "the job is found by its number until this is dropped"]
pub(crate) struct Entry {
    jobs: ConnectionJobs,
    nth: u64,
}

impl ConnectionJobs {
    /// Adds the `nth` job.
    pub(crate) fn insert(&self, nth: u64, cancel: Cancel) -> Entry {
        self.0.borrow_mut().insert(nth, cancel);
        Entry {
            jobs: self.clone(),
            nth,
        }
    }

    /// Asks the `nth` job to stop. Returns whether it is running.
    pub(crate) fn cancel(&self, nth: u64) -> bool {
        let cancel = self.0.borrow().get(&nth).cloned();
        match cancel {
            Some(cancel) => {
                cancel.cancel_because(Reason::Operator);
                true
            }
            None => false,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.jobs.0.borrow_mut().remove(&self.nth);
    }
}
