//! What was computed of pools of late.

use std::cell::RefCell;
use std::collections::HashMap;

use cluster_api::Label;
use cluster_web::cluster::{PoolState, Recent};
use jobs::JobId;
use pool::Time;

use super::shared::Shared;

/// The states of late.
#[derive(Default)]
pub(super) struct Pools {
    pub(super) states: Shared<PoolState>,
    pub(super) recent: RefCell<HashMap<String, (Time, Recent)>>,
    /// The labels of the jobs that are shown, by pool.
    pub(super) labels: RefCell<HashMap<String, HashMap<JobId, Vec<Label>>>>,
}

impl Pools {
    /// Forgets the states of pools, so that the next ones are those of now.
    pub(super) fn forget(&self) {
        self.states.forget();
    }
}
