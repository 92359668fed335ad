//! The locks of a clone.
//!
//! A job checks out in a repository of its own, which reads the clone's commits. So a job whose commits are present
//! never waits for a job that fetches from a slow server, or for one that waits for the server of a submodule.

use std::cell::Cell;

use tokio::sync::{Mutex, RwLock};

/// The locks of one clone. To hold several, take them in the order of the fields.
#[derive(Default)]
pub(super) struct CloneLock {
    /// Held to fetch, to copy the whole clone, and to remove it.
    pub(super) fetching: Mutex<()>,
    /// Shared to read commits; exclusive to remove the clone.
    pub(super) content: RwLock<()>,
    /// Held while the kept clones of submodules are copied or replaced, which is quick.
    pub(super) modules: Mutex<()>,
    /// The number of times that the clone was removed because it was damaged.
    removals: Cell<u64>,
}

impl CloneLock {
    /// Returns the number of removals of the damaged clone, so that a damage that several jobs notice is repaired once.
    pub(super) fn removals(&self) -> u64 {
        self.removals.get()
    }

    pub(super) fn removed(&self) {
        self.removals.set(self.removals.get() + 1);
    }
}
