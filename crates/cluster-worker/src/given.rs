//! The jobs of one connection by their numbers: the scheduler and the worker count alike, so that a number names a job
//! to both.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::cancel::{Cancel, Reason};

/// The jobs that were given over one connection and have not ended. Clones are the same jobs.
#[derive(Clone, Default)]
pub(crate) struct Given(Rc<RefCell<HashMap<u64, Cancel>>>);

/// A job's entry, until dropped.
#[must_use = "the job is found by its number until this is dropped"]
pub(crate) struct Entry {
    given: Given,
    nth: u64,
}

impl Given {
    /// Enters the `nth` job that was given.
    pub(crate) fn enter(&self, nth: u64, cancel: Cancel) -> Entry {
        self.0.borrow_mut().insert(nth, cancel);
        Entry {
            given: self.clone(),
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
        self.given.0.borrow_mut().remove(&self.nth);
    }
}
