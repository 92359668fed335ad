//! Calls of workers.

use cluster_api::{PauseReason, Worker};
use jobs::JobId;
use pool::{
    CacheHint, Capacity, ClientId, Disconnected, InactiveReason, NameTaken, PopId, TicketId,
    WorkerId, WorkerName,
};
use vat::Peer;
use visible::{Elapsed, OneLine};

use super::Reactor;
use super::handover::PendingPop;
use crate::history::JobResult;
use crate::roster::Returning;

impl Reactor {
    /// A worker connected. It is active, unless an admin paused it.
    pub(crate) fn register(
        &self,
        name: WorkerName,
        capacity: Capacity,
        worker: Worker,
        peer: Peer,
    ) -> Result<WorkerId, NameTaken> {
        // It may be the same worker, whose old connection broke only just now.
        self.release_departed_workers();
        let (id, _) = self.apply(|state, now| {
            let was_known = state.pool.worker(&name).is_some();
            let id = state.pool.register(name.clone(), capacity)?;
            state.history.registered(was_known, capacity);
            state.workers.insert(now, id, name, worker, peer);
            // It was registered just now.
            let _: Result<(), Disconnected> = state.pool.heard_from(id, now);
            let _: Result<(), Disconnected> =
                state.pool.set_active(id, InactiveReason::WorkerPause, true);
            Ok(id)
        });
        if let (Ok(id), Some(reactor)) = (id, self.this.upgrade()) {
            reactor.ask_version(id);
            reactor.watch(id);
        }
        id
    }

    /// Returns how many workers are registered through `peer`.
    pub(crate) fn count_registrations(&self, peer: &Peer) -> usize {
        self.state.borrow().workers.count_by_peer(peer)
    }

    /// Returns whether a worker of this name is known, connected or not, or there is room for one more among `most`.
    pub(crate) fn has_room_for(&self, name: &WorkerName, most: usize) -> bool {
        let state = self.state.borrow();
        state.pool.worker(name).is_some() || state.pool.count_workers() < most
    }

    /// A worker keeps its durable jobs while it is disconnected.
    pub(crate) fn set_returning(&self, id: WorkerId, returning: Returning) {
        let mut state = self.state.borrow_mut();
        if let Some(registered) = state.workers.get_mut(id) {
            registered.returning = Some(returning);
        }
    }

    /// A worker has returned with a job that it took in an earlier registration. Returns its ticket, unless the worker
    /// has left again.
    pub(crate) fn adopt(
        &self,
        worker: WorkerId,
        job: JobId,
        client: &ClientId,
        hint: &CacheHint,
        urgent: bool,
    ) -> Option<TicketId> {
        let (ticket, _) = self.apply(|state, now| {
            let name = state.workers.get(worker)?.name.clone();
            let ticket = state.pool.adopt(worker, client, hint, urgent).ok()?;
            state.tickets.adopt(now, ticket, job, worker, name);
            Some(ticket)
        });
        ticket
    }

    /// A worker disconnected. Safe to call from inside the RPC system.
    pub(crate) fn worker_released(&self, id: WorkerId) {
        self.departed.borrow_mut().workers.push(id);
        self.wake.notify_one();
    }

    /// A worker asks for one job.
    pub(crate) fn pop(&self, worker: WorkerId, pop: PendingPop) -> Result<PopId, Disconnected> {
        let (id, _) = self.apply(|state, now| {
            state.heard_from(worker, now);
            let id = state.pool.pop(worker)?;
            state.pops.insert(id, pop);
            Ok(id)
        });
        id
    }

    /// The caller of this pop has disconnected or given up. Nothing happens if it was answered before.
    pub(crate) fn cancel_pop(&self, pop: PopId) {
        let (_pending, _) = self.apply(|state, _| {
            state.pool.cancel_pop(pop);
            state.pops.remove(&pop)
        });
    }

    /// A worker that was chosen for a job gets it.
    pub(super) fn job_given(&self, ticket: TicketId) {
        let state = &mut *self.state.borrow_mut();
        if let Some(running) = state.tickets.running(ticket) {
            state.history.waited.add(running.waited);
        }
    }

    /// A worker that was chosen for a job did not get it: it was told nothing of it.
    pub(super) fn job_not_given(&self, ticket: TicketId) {
        self.change(|state, _| {
            if let Some(running) = state.tickets.finish(ticket) {
                state.workers.job_not_given(running.worker);
            }
            state.pool.job_finished(ticket);
        });
        self.perform();
    }

    pub(crate) fn job_finished(&self, ticket: TicketId, end: JobResult) {
        let ended = self.change(|state, now| {
            let running = state.tickets.finish(ticket);
            let ended = running.map(|running| {
                let time = now.secs_after(running.since);
                let goes_on = running.outlives_connection && end == JobResult::Disconnected;
                if !goes_on {
                    state.history.job_ended(end, time);
                    state.workers.job_ended(running.worker);
                }
                (running.name, time, goes_on)
            });
            state.pool.job_ended(ticket, now, end.job_end());
            ended
        });
        match ended {
            Some((worker, time, false)) => tracing::info!(
                target: "scheduler",
                ticket = %self.full_name(ticket), worker = %worker,
                "Job {end} after {}", Elapsed::from_seconds(time)
            ),
            Some((worker, _, true)) => tracing::info!(
                target: "scheduler",
                ticket = %self.full_name(ticket), worker = %worker,
                "Job continues on \"{worker}\" without a connection"
            ),
            None => {}
        }
        self.perform();
    }

    /// A worker reports why it pauses itself. Nothing happens if it has left.
    pub(crate) fn set_pause_reasons(&self, worker: WorkerId, reasons: Vec<PauseReason>) {
        let mut state = self.state.borrow_mut();
        let Some(registered) = state.workers.get_mut(worker) else {
            return;
        };
        for reason in &reasons {
            let is_news = registered
                .pause_reasons
                .iter()
                .all(|known| known.kind != reason.kind);
            if is_news {
                tracing::info!(
                    target: "scheduler",
                    worker = %registered.name, kind = %OneLine(&reason.kind),
                    "Worker \"{}\" takes no jobs: {}", registered.name, OneLine(&reason.problem)
                );
            }
        }
        registered.pause_reasons = reasons;
    }

    /// A worker has dropped what it had cached for some hints, or, if there are none, for all.
    pub(crate) fn pruned(&self, worker: WorkerId, hints: &[String]) -> Result<(), Disconnected> {
        let hints: Vec<_> = hints.iter().map(|hint| self.hint(hint)).collect();
        let some = (!hints.is_empty()).then_some(&hints[..]);
        self.apply(|state, _| state.pool.pruned(worker, some)).0
    }

    /// Removes (`active`) or adds (not `active`) a reason for a worker to be inactive.
    pub(crate) fn set_active(
        &self,
        worker: WorkerId,
        reason: InactiveReason,
        active: bool,
    ) -> Result<(), Disconnected> {
        self.apply(|state, _| state.pool.set_active(worker, reason, active))
            .0
    }
}
