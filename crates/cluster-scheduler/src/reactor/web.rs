//! What pages show of a pool.

use std::collections::HashMap;

use cluster_api::PoolExplanations;
use cluster_web::cluster::{PoolState, Recent, TicketNote};
use pool::{TicketId, Time};

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

    /// Returns the pool for pages, with at most so many jobs of each queue. Labels are not in
    /// memory.
    pub(crate) fn web_state(&self, most: u32, recent: Recent) -> PoolState {
        let PoolExplanations { jobs, workers } = self.explanations(most);
        let mut state = self.state.borrow_mut();
        let report = state.wait_report(&self.name, self.clock);
        let obstacle = report.obstacle().map(|obstacle| obstacle.text.to_string());
        let now = self.clock.now();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let snapshot = state.pool.snapshot(now, most);
        let details = details::of_pool(now, &snapshot, &state.workers, &state.tickets);
        let sources = overview::Sources {
            roster: &state.workers,
            tickets: &state.tickets,
            pauses: &state.pauses,
            now,
            date: self.clock.date(),
        };
        let (notes, queued, more) = overview::parts(&sources, &snapshot, most);
        let running = details
            .workers
            .iter()
            .filter_map(|worker| match &worker.presence {
                cluster_api::Presence::Connected(worker) => Some(&worker.running),
                _ => None,
            });
        let running = running.flatten().map(|job| job.ticket);
        let tickets = queued.iter().map(|job| job.ticket).chain(running);
        let notes_of: HashMap<u64, TicketNote> = tickets
            .filter_map(|ticket| {
                let id = state.tickets.job_id(TicketId::numbered(ticket))?;
                let id = id.to_string();
                let labels = Vec::new();
                Some((ticket, TicketNote { id, labels }))
            })
            .collect();
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
        }
    }
}
