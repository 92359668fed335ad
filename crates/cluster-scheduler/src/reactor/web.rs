//! What pages show of a pool.

use std::collections::HashMap;
use std::sync::Arc;

use cluster_api::{PoolDetails, PoolExplanations, Presence, QueuedJob, Worker};
use cluster_web::cluster::{PastRegistration, PoolState, Recent, TicketNote};
use pool::{TicketId, Time, WorkerName};
use tokio::task::yield_now;

use super::Reactor;
use crate::details;
use crate::overview;

impl Reactor {
    /// Returns the time as this pool has it.
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Returns a number that changes with everything that happens in this pool.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// Returns up to `most` of the cache hints that a worker has cached.
    pub(crate) fn cached_by(&self, worker: &WorkerName, most: usize) -> Vec<String> {
        let hints = self.state.borrow().pool.cached_by(worker, most);
        hints.iter().map(|hint| hint.as_str().to_owned()).collect()
    }

    /// Returns the pool for pages, with at most so many jobs of each queue. Labels are not in
    /// memory.
    ///
    /// Between its parts others get their turn, so that a large pool delays nobody. What happens meanwhile may be in
    /// some parts, and not in others.
    pub(crate) async fn web_state(&self, most: u32, recent: Recent) -> PoolState {
        let PoolExplanations { jobs, workers } = self.explanations(most).await;
        yield_now().await;
        let now = self.clock.now();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let snapshot = self.state.borrow().pool.snapshot(now, most);
        yield_now().await;
        let details = {
            let state = self.state.borrow();
            details::of_pool(now, &snapshot, &state.workers, &state.tickets)
        };
        let (notes, queued, more) = {
            let state = self.state.borrow();
            let sources = overview::Sources {
                roster: &state.workers,
                tickets: &state.tickets,
                pauses: &state.pauses,
                now,
                date: self.clock.date(),
            };
            overview::parts(&sources, &snapshot, most)
        };
        yield_now().await;
        drop(snapshot);
        let notes_of = self.notes_of(&details, &queued);
        let mut state = self.state.borrow_mut();
        let report = state.wait_report(&self.name, self.clock);
        let obstacle = report.obstacle().map(|obstacle| obstacle.text.to_string());
        PoolState {
            name: self.name.to_string(),
            obstacle,
            explanations: jobs.into_iter().collect(),
            worker_explanations: workers.into_iter().collect(),
            details,
            notes,
            queued,
            more,
            notes_of,
            recent,
            activity: Arc::default(),
            disks: HashMap::new(),
        }
    }

    /// Returns the registered workers that are chosen by name.
    pub(crate) fn chosen_workers(
        &self,
        is_chosen: impl FnMut(&WorkerName) -> bool,
    ) -> Vec<(WorkerName, Worker)> {
        self.state.borrow().workers.chosen(is_chosen)
    }

    /// Returns the last registrations of a worker, the latest first.
    pub(crate) fn registrations(&self, worker: &WorkerName) -> Vec<PastRegistration> {
        let state = self.state.borrow();
        let now = self.clock.now();
        let current = state.pool.registration(worker);
        let current = current.and_then(|id| state.workers.get(id));
        let current = current.map(|registered| PastRegistration {
            began: now.since(registered.since),
            end: None,
            address: registered.peer.address(),
        });
        let history = state.workers.history(worker);
        let ended = history
            .into_iter()
            .flat_map(|history| history.ended.iter().rev());
        let ended = ended.map(|ended| PastRegistration {
            began: now.since(ended.began),
            end: Some((ended.ended.since(ended.began), ended.reason.clone())),
            address: ended.address.clone(),
        });
        current.into_iter().chain(ended).collect()
    }

    /// Returns what is kept of jobs that run, and of some that are queued.
    fn notes_of(&self, details: &PoolDetails, queued: &[QueuedJob]) -> HashMap<u64, TicketNote> {
        let state = self.state.borrow();
        let running = details
            .workers
            .iter()
            .filter_map(|worker| match &worker.presence {
                Presence::Connected(worker) => Some(&worker.running),
                Presence::Left(_) | Presence::NeverSeen => None,
            });
        let running = running.flatten().map(|job| job.ticket);
        let tickets = queued.iter().map(|job| job.ticket).chain(running);
        let notes = tickets.filter_map(|ticket| {
            let number = TicketId::numbered(ticket);
            let note = TicketNote {
                id: state.tickets.job_id(number)?.to_string(),
                labels: Vec::new(),
                usual: state.pool.usual_time(number),
            };
            Some((ticket, note))
        });
        notes.collect()
    }
}
