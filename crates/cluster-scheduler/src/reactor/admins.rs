//! Calls of admins, and what they are shown.

use cluster_api::{PoolDetails, PoolOverview, Worker};
use pool::{ForgetError, Stats, WorkerId, WorkerInfo, WorkerName};
use tokio::sync::watch;

use super::{PendingSave, Reactor};
use crate::details;
use crate::overview;

impl Reactor {
    pub(crate) fn forget(&self, worker: &WorkerName) -> Result<PendingSave, ForgetError> {
        let (result, saving) = self.apply(|state, _| {
            state.pool.forget(worker)?;
            state.workers.forget(worker);
            state.pauses.end(worker, None);
            Ok(())
        });
        result.map(|()| saving)
    }

    pub(crate) fn show(&self) -> String {
        let now = self.clock.now();
        let more = details::Text(&self.details()).to_string();
        self.state.borrow().pool.show(now) + &more
    }

    pub(crate) fn workers(&self) -> Vec<WorkerInfo> {
        self.state.borrow().pool.workers()
    }

    /// Returns the pool and its workers for operators, as data.
    pub(crate) fn details(&self) -> PoolDetails {
        let state = self.state.borrow();
        let now = self.clock.now();
        let snapshot = state.pool.snapshot(now, 0);
        details::of_pool(now, &snapshot, &state.workers, &state.tickets)
    }

    /// Returns the pool as an operator reads it, with at most `most` jobs of each queue.
    pub(crate) fn overview(&self, most: u32) -> PoolOverview {
        let state = self.state.borrow();
        let most = usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(overview::MAX_JOBS);
        let sources = overview::Sources {
            roster: &state.workers,
            tickets: &state.tickets,
            pauses: &state.pauses,
            now: self.clock.now(),
            date: self.clock.date(),
        };
        overview::of_pool(&sources, state.pool.snapshot(sources.now, most), most)
    }

    /// Returns what is known about a worker, connected or not.
    pub(crate) fn worker(&self, name: &WorkerName) -> Option<WorkerInfo> {
        self.state.borrow().pool.worker(name)
    }

    /// Returns a connected worker.
    pub(crate) fn connected(&self, name: &WorkerName) -> Option<(WorkerId, Worker)> {
        let state = self.state.borrow();
        let id = state.pool.registration(name)?;
        Some((id, state.workers.get(id)?.worker.clone()))
    }

    /// Returns the pool in numbers.
    pub(crate) fn stats(&self) -> Stats {
        self.state.borrow().pool.stats()
    }

    /// Returns how many jobs workers are running that are lost with this scheduler.
    pub(crate) fn count_running(&self) -> usize {
        self.state.borrow().tickets.count_running(false)
    }

    /// Returns how many jobs workers are running that they keep while this scheduler is away.
    pub(crate) fn count_kept(&self) -> usize {
        self.state.borrow().tickets.count_running(true)
    }

    /// Returns a signal that changes whenever a worker registers, leaves, or runs more or fewer jobs.
    pub(crate) fn workers_changed(&self) -> watch::Receiver<()> {
        self.workers_changed.subscribe()
    }
}
