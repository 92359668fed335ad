//! Whether the scheduler may give us jobs: when nothing speaks against it.

use std::cell::Cell;

use cluster_api::{Queue, RpcError};

/// What the scheduler knows of our wish for jobs. Several things may speak against them at once.
pub(crate) struct Activity<'a> {
    pub(crate) queue: &'a Queue,
    pauses: Cell<u32>,
}

impl<'a> Activity<'a> {
    /// A worker that has just registered is active.
    pub(crate) fn new(queue: &'a Queue) -> Self {
        Self {
            queue,
            pauses: Cell::new(0),
        }
    }

    /// Asks for no more jobs, until [`Activity::resume`] was called as often.
    pub(crate) async fn pause(&self) -> Result<(), RpcError> {
        let before = self.pauses.replace(self.pauses.get() + 1);
        if before > 0 {
            return Ok(());
        }
        self.queue.set_active(false).await
    }

    pub(crate) async fn resume(&self) -> Result<(), RpcError> {
        let after = self.pauses.get().saturating_sub(1);
        self.pauses.set(after);
        if after > 0 {
            return Ok(());
        }
        self.queue.set_active(true).await
    }
}
