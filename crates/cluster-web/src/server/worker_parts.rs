//! What the page of a worker has besides the state of its pool: asked for once for all who look at the same state.
//!
//! The last jobs of a worker are looked for among those of all workers, which takes milliseconds of the thread that
//! reads the history.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cluster::{FoundJob, PoolState, WorkerPast};

/// Of how many workers this is kept. Beyond that, it is asked for again.
const MAX_WORKERS: usize = 200;

/// What the page of a worker has besides the state of its pool.
pub(super) struct WorkerParts {
    /// The state of its pool.
    pub(super) state: Arc<PoolState>,
    /// Its last jobs; `None` if the visitor may not see them.
    pub(super) jobs: Option<Vec<FoundJob>>,
    /// What it has cached; `None` if the visitor may not see that.
    pub(super) cached: Option<Vec<String>>,
    pub(super) past: WorkerPast,
}

/// The names of a pool and a worker, and whether it is for an operator.
pub(super) type Key = (String, bool);

/// What was asked for of late.
#[derive(Default)]
pub(super) struct KnownParts(HashMap<Key, Arc<WorkerParts>>);

impl KnownParts {
    /// Returns what was asked for with this state; `None` if nothing was.
    pub(super) fn get(&self, key: &Key, state: &Arc<PoolState>) -> Option<Arc<WorkerParts>> {
        let known = self.0.get(key)?;
        Arc::ptr_eq(&known.state, state).then(|| Arc::clone(known))
    }

    /// Keeps what was asked for.
    pub(super) fn put(&mut self, key: Key, parts: Arc<WorkerParts>) {
        self.0.retain(|_, old| {
            old.state.name != parts.state.name || Arc::ptr_eq(&old.state, &parts.state)
        });
        if self.0.len() >= MAX_WORKERS {
            self.0.clear();
        }
        self.0.insert(key, parts);
    }
}
