//! What was computed of pools of late.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cluster_api::Label;
use cluster_web::cluster::{Activity, PoolState, Recent};
use jobs::JobId;
use pool::Time;

use super::shared::Shared;

/// The states of late.
#[derive(Default)]
pub(super) struct Pools {
    pub(super) states: Shared<PoolState>,
    pub(super) recent: RefCell<HashMap<String, (Time, Recent)>>,
    pub(super) activity: RefCell<HashMap<String, (Time, Arc<Activity>)>>,
    /// The pools whose activity is being read.
    pub(super) reading: RefCell<HashSet<String>>,
    /// The labels of the jobs that are shown, by pool.
    pub(super) labels: RefCell<HashMap<String, HashMap<JobId, Vec<Label>>>>,
}

impl Pools {
    /// Forgets the states of pools, so that the next ones are those of now.
    pub(super) fn forget(&self) {
        self.states.forget();
    }
}
