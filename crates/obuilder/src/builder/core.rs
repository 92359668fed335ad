//! The state that the parts of the builder share.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use super::claims::Claims;
use super::database::Database;
use super::settings::Settings;
use super::{Clock, Parts};
use crate::StepId;
use crate::copy::Digests;
use crate::shared::Shared;
use crate::store::Usage;

/// The state that the parts of the builder share.
pub(super) struct Core {
    pub(super) parts: Parts,
    pub(super) database: Database,
    pub(super) settings: Settings,
    pub(super) digests: Arc<Digests>,
    pub(super) claims: Claims,
    pub(super) hits: Cell<u64>,
    pub(super) misses: Cell<u64>,
    /// How many steps did not stop in time.
    pub(super) not_stopped: Cell<u64>,
    /// Number of shells that were started in copies of results.
    pub(super) shells: Cell<u64>,
    /// Disk usage of the results that were measured.
    pub(super) usages: RefCell<HashMap<StepId, Usage>>,
    pub(super) clock: Clock,
    /// The results that workers share. Not set if they share none.
    pub(super) shared: OnceCell<Rc<Shared>>,
    /// Results that wait to be shared.
    pub(super) to_share: RefCell<VecDeque<StepId>>,
    /// Whether a task shares them.
    pub(super) is_sharing: Cell<bool>,
    /// The same, for those who wait for its end.
    pub(super) sharing_changed: watch::Sender<bool>,
}

impl Core {
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
