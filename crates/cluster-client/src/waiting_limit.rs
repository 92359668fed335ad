//! How many jobs wait at the scheduler.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places at the scheduler, so many for each pool and urgency.
pub(crate) struct Places {
    each: usize,
    free: RefCell<HashMap<(String, bool), Arc<Semaphore>>>,
}

/// The right to have a job wait at the scheduler. Dropping it lets another one in.
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(crate) fn new(each: usize) -> Self {
        Self {
            each: each.clamp(1, Semaphore::MAX_PERMITS),
            free: RefCell::default(),
        }
    }

    /// Waits for a place. Who has waited longest is next.
    pub(crate) async fn take(&self, pool: &str, urgent: bool) -> Place {
        let free = self
            .free
            .borrow_mut()
            .entry((pool.to_owned(), urgent))
            .or_insert_with(|| Arc::new(Semaphore::new(self.each)))
            .clone();
        Place {
            // It fails only when the semaphore is closed, which nobody does.
            _permit: free.acquire_owned().await.ok(),
        }
    }
}
