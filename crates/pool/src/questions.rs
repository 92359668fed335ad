//! Queries: they change nothing.

use alloc::vec::Vec;
use core::time::Duration;

use crate::worker::KnownWorker;
use crate::{
    CacheHint, ClientId, Estimate, InactiveReasons, Pool, Rate, TicketId, Time, WorkerId,
    WorkerName,
};

/// A worker the pool knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its name.
    pub name: WorkerName,
    /// Whether an admin has paused it.
    pub paused: bool,
    /// Its registration; `None` while it is disconnected.
    pub registration: Option<WorkerId>,
    /// Why it is inactive, if it is connected.
    pub reasons: InactiveReasons,
    /// How many jobs it runs.
    pub running: usize,
}

impl Pool {
    /// Returns all known workers, connected or not, in the order of their names.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        self.workers
            .iter()
            .map(|(slot, known)| info(self.workers.id(slot), known))
            .collect()
    }

    /// Returns how many workers are known, connected or not.
    pub fn count_workers(&self) -> usize {
        self.workers.count()
    }

    /// Returns what is known about one worker, connected or not.
    pub fn worker(&self, name: &WorkerName) -> Option<WorkerInfo> {
        let slot = self.workers.find(name)?;
        self.workers
            .known(slot)
            .map(|known| info(self.workers.id(slot), known))
    }

    /// Returns the registration of a connected worker.
    pub fn registration(&self, name: &WorkerName) -> Option<WorkerId> {
        self.workers.id(self.workers.find(name)?)
    }

    /// Returns how many jobs a worker runs; 0 if it is disconnected or unknown.
    pub fn running(&self, name: &WorkerName) -> usize {
        let worker = self
            .workers
            .find(name)
            .and_then(|slot| self.workers.get(slot));
        worker.map_or(0, |worker| worker.running.len())
    }

    /// Returns the workers that wait for a ticket, the one to be served next first.
    pub fn ready(&self) -> Vec<WorkerName> {
        match &self.waiting {
            crate::assign::Waiting::Backlog(_) => Vec::new(),
            crate::assign::Waiting::Ready(ready) => {
                ready.iter().map(|slot| self.workers.name(slot)).collect()
            }
        }
    }

    /// Returns a client's rate, whether or not it has submitted anything.
    pub fn rate(&self, client: &ClientId) -> Rate {
        self.clients.rate(client)
    }

    /// Returns up to `most` of the tickets that a client has queued, from the one after `after` (or from the first),
    /// oldest first.
    ///
    /// With it a client's tickets can be cancelled in pieces, between which others get their turn.
    pub fn queued_of(
        &self,
        client: &ClientId,
        after: Option<TicketId>,
        most: usize,
    ) -> Vec<TicketId> {
        self.clients.queued_of(client, after, most)
    }

    /// Returns when a ticket would start if shares were exact; `None` if there is no such ticket.
    pub fn fair_start(&self, ticket: TicketId) -> Option<Time> {
        self.tickets.get(&ticket).map(|ticket| ticket.fair_start)
    }

    /// Returns up to `most` of the hints that a worker has cached, connected or not, in order.
    pub fn cached_by(&self, worker: &WorkerName, most: usize) -> Vec<CacheHint> {
        let slot = self.workers.find(worker);
        let hints = slot
            .into_iter()
            .flat_map(|slot| self.affinity.cached_by(slot));
        let named = hints.filter(|hint| !hint.is_none());
        named.take(most).cloned().collect()
    }

    /// Returns how long the job of a ticket usually takes on a worker like the one that has it; `None` if there is no
    /// such ticket, and as long as nothing is learned.
    pub fn usual_time(&self, ticket: TicketId) -> Option<Duration> {
        let ticket = self.tickets.get(&ticket)?;
        let estimate = match ticket.is_warm {
            true => Estimate::Cached,
            false => Estimate::NonCached,
        };
        let are_known = self.times.are_known();
        are_known.then(|| self.costs(ticket).of(estimate))
    }

    /// Returns the hint for `text`: the copy that is shared, if a ticket or a worker has it already.
    pub fn hint(&self, text: &str) -> CacheHint {
        self.affinity.shared(text)
    }

    /// Returns the latest time that was reported.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Returns which workers have which hints cached, both in order.
    pub fn cached(&self) -> Vec<(CacheHint, Vec<WorkerName>)> {
        let cached = self.affinity.cached().map(|(hint, slots)| {
            let mut workers: Vec<_> = slots.iter().map(|slot| self.workers.name(*slot)).collect();
            workers.sort();
            (hint.clone(), workers)
        });
        cached.collect()
    }
}

fn info(registration: Option<WorkerId>, known: &KnownWorker) -> WorkerInfo {
    let worker = known.connected.as_ref();
    WorkerInfo {
        name: known.name.clone(),
        paused: known.paused,
        registration,
        reasons: worker.map_or(InactiveReasons::NONE, |worker| worker.reasons),
        running: worker.map_or(0, |worker| worker.running.len()),
    }
}
