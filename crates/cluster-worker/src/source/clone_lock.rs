//! Who may do what with a clone at the same time.
//!
//! A job checks out in a repository of its own, which reads the clone's commits. So a job whose commits are there never
//! waits: not for one that fetches from a slow server, nor for one that waits for the server of a submodule.

use std::cell::Cell;

use tokio::sync::{Mutex, RwLock};

/// The locks of one clone. Whoever needs several takes them in the order of the fields.
#[derive(Default)]
pub(super) struct CloneLock {
    /// Held by the one who fetches, copies all of the clone, or removes it.
    pub(super) fetching: Mutex<()>,
    /// Shared by those who read commits; held alone to remove the clone.
    pub(super) content: RwLock<()>,
    /// Held while its clones of submodules are taken or replaced, which is quick.
    pub(super) modules: Mutex<()>,
    /// How often the clone was removed because it was damaged.
    removals: Cell<u64>,
}

impl CloneLock {
    /// Returns a number that is another one once the clone has been removed as damaged, so that what several jobs have
    /// noticed is mended once.
    pub(super) fn removals(&self) -> u64 {
        self.removals.get()
    }

    pub(super) fn removed(&self) {
        self.removals.set(self.removals.get() + 1);
    }
}
