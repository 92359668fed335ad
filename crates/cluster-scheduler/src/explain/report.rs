//! The facts of a pool that explanations are made from, gathered at most once a second.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use pool::{Ahead, Pool, TicketFacts, TicketId, Time, WorkerName};
use visible::natural;

use super::limited;
use super::obstacle::Obstacle;
use super::worker::WorkerState;
use super::workers::WorkerCounts;
use crate::details::between;
use crate::overview::Sources;

/// How long gathered facts are used.
const MAX_AGE: Duration = Duration::from_secs(1);

/// How many tickets of each queue have positions of their own. For all behind them it is the length of the backlog.
pub(crate) const MAX_POSITIONS: usize = 1_000;

/// When and where an explanation is made.
pub(crate) struct Moment<'a> {
    /// The name of the pool.
    pub(crate) pool: &'a str,
    pub(crate) now: Time,
    /// Whether no more jobs are assigned, as the scheduler shuts down.
    pub(crate) assignments_stopped: bool,
}

/// Why the jobs of a pool wait, at one moment.
#[derive(Debug, Default)]
pub(crate) struct WaitReport {
    taken_at: Option<Time>,
    tickets: HashMap<TicketId, TicketFacts>,
    /// The tickets that have facts of their own, those of the backlog first.
    order: Vec<TicketId>,
    /// That of a ticket which was submitted later, or is far behind.
    last: Ahead,
    /// How many tickets no worker has taken.
    waiting: usize,
    next_move: Option<Time>,
    workers: Vec<WorkerState>,
    pub(super) counts: WorkerCounts,
    obstacle: Option<KnownObstacle>,
}

/// Why no worker takes jobs.
#[derive(Clone, Debug)]
pub(crate) struct KnownObstacle {
    pub(crate) kind: &'static str,
    pub(crate) text: Rc<str>,
}

/// Where a ticket waits.
#[derive(Clone, Debug)]
pub(crate) struct QueuePosition {
    /// In whose queue it is; `None` for the backlog.
    pub(crate) worker: Option<WorkerName>,
    /// How many tickets are before it there.
    pub(crate) ahead: u32,
}

impl WaitReport {
    /// Returns whether this is still recent at `now`.
    pub(crate) fn is_fresh(&self, now: Time) -> bool {
        self.taken_at
            .is_some_and(|taken_at| now < taken_at + MAX_AGE)
    }

    /// Gathers the facts of the pool with this name.
    pub(crate) fn take(name: &str, pool: &Pool, sources: &Sources<'_>) -> Self {
        let facts = pool.wait_facts(MAX_POSITIONS);
        let mut workers: Vec<WorkerState> = facts
            .workers
            .iter()
            .map(|worker| WorkerState::new(worker, sources))
            .collect();
        workers.sort_by(|a, b| natural(a.name.as_str(), b.name.as_str()));
        let in_queues: usize = facts.workers.iter().map(|worker| worker.queued).sum();
        Self {
            taken_at: Some(sources.now),
            order: facts.tickets.iter().map(|facts| facts.ticket).collect(),
            tickets: facts
                .tickets
                .into_iter()
                .map(|facts| (facts.ticket, facts))
                .collect(),
            last: Ahead {
                all: facts.backlog,
                urgent: facts.urgent,
                ..Ahead::default()
            },
            waiting: facts.backlog + in_queues,
            next_move: facts.next_move,
            counts: WorkerCounts::of(&workers),
            obstacle: Obstacle::of(&workers).map(|obstacle| KnownObstacle {
                kind: obstacle.kind(),
                text: limited(obstacle.text(name)).into(),
            }),
            workers,
        }
    }

    /// Returns the facts of a ticket; `None` if it was submitted later, or is far behind.
    pub(super) fn ticket(&self, ticket: TicketId) -> Option<&TicketFacts> {
        self.tickets.get(&ticket)
    }

    /// Returns what is before a ticket in its queue. One that was submitted later, or is far behind, has the whole
    /// backlog ahead.
    pub(super) fn ahead(&self, ticket: TicketId) -> Ahead {
        self.ticket(ticket).map_or(self.last, |facts| facts.ahead)
    }

    /// Returns where a queued ticket waits.
    pub(crate) fn position(&self, ticket: TicketId) -> QueuePosition {
        let chosen = self.ticket(ticket).and_then(|facts| facts.chosen.as_ref());
        QueuePosition {
            worker: chosen.map(|chosen| chosen.worker.clone()),
            ahead: saturated(self.ahead(ticket).all),
        }
    }

    /// Returns the tickets that have facts of their own: in each queue, those that are not behind `most` others.
    pub(crate) fn first_tickets(&self, most: usize) -> impl Iterator<Item = TicketId> {
        let tickets = self.order.iter().copied();
        tickets.filter(move |ticket| self.ahead(*ticket).all < most)
    }

    /// Returns why no worker takes jobs; `None` if one does.
    pub(crate) fn obstacle(&self) -> Option<&KnownObstacle> {
        self.obstacle.as_ref()
    }

    /// Returns the known workers in natural order.
    pub(crate) fn workers(&self) -> &[WorkerState] {
        &self.workers
    }

    /// Returns how many tickets no worker has taken.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns how long it is until a ticket in a worker's queue moves to a free worker; `None` if there is none.
    pub(super) fn next_move_in(&self, now: Time) -> Option<Duration> {
        self.next_move.map(|time| between(now, time))
    }
}

pub(super) fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
