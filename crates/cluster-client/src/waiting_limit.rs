//! The limit for jobs that wait at the scheduler.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits how many jobs of each pool and urgency wait at the scheduler.
pub(crate) struct WaitingLimit {
    limit: usize,
    semaphores: RefCell<HashMap<(String, bool), Arc<Semaphore>>>,
}

/// Permits a job to wait at the scheduler. When it is dropped, another job gets it.
pub(crate) struct WaitingPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl WaitingLimit {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, Semaphore::MAX_PERMITS),
            semaphores: RefCell::default(),
        }
    }

    /// Waits for a permit. They are granted in the order of the requests.
    pub(crate) async fn permit(&self, pool: &str, urgent: bool) -> WaitingPermit {
        let semaphore = self
            .semaphores
            .borrow_mut()
            .entry((pool.to_owned(), urgent))
            .or_insert_with(|| Arc::new(Semaphore::new(self.limit)))
            .clone();
        WaitingPermit {
            // It fails only for a semaphore that was closed, and this one never is.
            _permit: semaphore.acquire_owned().await.ok(),
        }
    }
}
