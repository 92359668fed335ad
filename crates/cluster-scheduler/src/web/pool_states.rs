//! What was computed of pools of late.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cluster_api::Label;
use cluster_web::cluster::{Activity, PoolState, Recent};
use jobs::JobId;
use pool::Time;
use tokio::sync::Mutex;

/// How long a state is shared.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The states of late.
#[derive(Default)]
pub(super) struct Pools {
    states: RefCell<BTreeMap<String, (Time, Arc<PoolState>)>>,
    /// Held while the state of a pool is computed, so that those that come meanwhile wait for it instead of computing
    /// the same.
    turns: RefCell<BTreeMap<String, Rc<Mutex<()>>>>,
    /// How often states were forgotten.
    changes: Cell<u64>,
    pub(super) recent: RefCell<HashMap<String, (Time, Recent)>>,
    pub(super) activity: RefCell<HashMap<String, (Time, Arc<Activity>)>>,
    /// The pools whose activity is being read.
    pub(super) reading: RefCell<HashSet<String>>,
    /// The labels of the jobs that are shown, by pool.
    pub(super) labels: RefCell<HashMap<String, HashMap<JobId, Vec<Label>>>>,
}

impl Pools {
    /// Returns the state of a pool, if it is not too old.
    pub(super) fn fresh(&self, pool: &str, now: Time) -> Option<Arc<PoolState>> {
        let states = self.states.borrow();
        let (taken, state) = states.get(pool)?;
        (now < *taken + MAX_AGE).then(|| Arc::clone(state))
    }

    /// Returns what is locked while the state of a pool is computed.
    pub(super) fn turn(&self, pool: &str) -> Rc<Mutex<()>> {
        let mut turns = self.turns.borrow_mut();
        Rc::clone(turns.entry(pool.to_owned()).or_default())
    }

    /// Returns a number that changes when states are forgotten.
    pub(super) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// Shares the state of a pool with all that ask for it soon, unless states were forgotten since.
    pub(super) fn share(&self, pool: String, state: (Time, Arc<PoolState>), changes: u64) {
        if changes == self.changes() {
            self.states.borrow_mut().insert(pool, state);
        }
    }

    /// Forgets the states of pools, so that the next ones are those of now.
    pub(super) fn forget(&self) {
        self.changes.set(self.changes.get().wrapping_add(1));
        self.states.borrow_mut().clear();
    }
}
