//! A pool in numbers, for metrics.

use pool::Stats;

use super::Reactor;
use crate::details;
use crate::history::History;

/// The numbers of one pool.
pub(crate) struct PoolReport {
    pub(crate) name: String,
    pub(crate) stats: Stats,
    pub(crate) history: History,
    /// How many seconds the oldest ticket has waited that no worker has taken; 0 if there is none.
    pub(crate) oldest_wait: f64,
    /// The connected workers that take no jobs, each with a reason why; several times if it has several.
    pub(crate) inactive: Vec<(String, String)>,
    /// The versions of the connected workers that report one, by name.
    pub(crate) versions: Vec<(String, String)>,
}

impl Reactor {
    /// Returns the numbers for metrics.
    pub(crate) fn report(&self) -> PoolReport {
        let inactive = details::inactive(&self.details());
        let state = self.state.borrow();
        let now = self.clock.now();
        PoolReport {
            inactive,
            name: self.name.to_string(),
            stats: state.pool.stats(),
            history: state.history.clone(),
            oldest_wait: state
                .tickets
                .oldest()
                .map_or(0.0, |since| now.secs_after(since)),
            versions: state.workers.versions(),
        }
    }
}
