//! The state of a pool as plain values, which `show`, the web page and JSON are made from.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use crate::assign::Waiting;
use crate::backlog::InOrder;
use crate::ticket::Location;
use crate::worker::Worker;
use crate::{
    CacheHint, ClientId, InactiveReasons, Pool, Rate, TicketId, Time, WorkerId, WorkerName,
};

/// A pool at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The sum of the connected workers' capacities.
    pub capacity: u64,
    /// What waits: tickets or workers.
    pub waiting: WaitingView,
    /// The connected workers, in the order of their names.
    pub workers: Vec<WorkerView>,
    /// The other known workers, in the order of their names.
    pub disconnected: Vec<DisconnectedView>,
    /// The clients seen since the pool was made, in the order of their ids.
    pub clients: Vec<ClientView>,
}

/// Either tickets wait for workers, or workers for tickets.
#[derive(Clone, Debug, PartialEq)]
pub enum WaitingView {
    /// The backlog.
    Backlog(Items),
    /// The ready list, the worker to be served next first; once for each pop.
    Ready(Vec<WorkerName>),
}

/// Queued tickets, the next one first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Items {
    /// The first of them.
    pub first: Vec<Item>,
    /// How many more there are.
    pub more: usize,
}

/// A queued ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its id.
    pub ticket: TicketId,
    /// Who submitted it.
    pub client: ClientId,
    /// Its hint, fit to print.
    pub label: String,
    /// Whether it is urgent.
    pub urgent: bool,
    /// In how many seconds it would start if shares were exact; negative if that time has passed.
    pub fair_start_in: f64,
    /// What its job is expected to cost; `None` in the backlog, where it depends on who takes it.
    pub cost: Option<Duration>,
}

/// A connected worker.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    /// Its name.
    pub name: WorkerName,
    /// Its registration.
    pub registration: WorkerId,
    /// How many jobs it runs at once, as it reports.
    pub capacity: u32,
    /// Whether an admin has paused it.
    pub paused: bool,
    /// Why it gets no jobs; it does if there is no reason.
    pub reasons: InactiveReasons,
    /// The tickets assigned to it that it has not taken.
    pub queue: Items,
    /// The sum of their costs.
    pub workload: Duration,
    /// The jobs it runs, the oldest ticket first.
    pub running: Vec<RunningView>,
}

/// A job that a worker has taken and not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningView {
    /// Its ticket.
    pub ticket: TicketId,
    /// Who submitted it.
    pub client: ClientId,
    /// Its hint.
    pub hint: CacheHint,
    /// Whether it was urgent.
    pub urgent: bool,
}

/// A known worker that is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisconnectedView {
    /// Its name.
    pub name: WorkerName,
    /// Whether an admin has paused it.
    pub paused: bool,
}

/// A client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientView {
    /// Its id.
    pub id: ClientId,
    /// Its share.
    pub rate: Rate,
    /// In how many seconds its next job would start if shares were exact; not above zero if it has
    /// used less than its share.
    pub next_fair_start_in: f64,
    /// How many tickets it has queued, urgent or not.
    pub queued: usize,
    /// How many of those are urgent.
    pub urgent: usize,
}

impl Pool {
    /// Returns the state of the pool as of `now`, with at most `most` tickets of each queue.
    ///
    /// A limit, because a backlog may hold a million, and a long list would keep the scheduler busy.
    pub fn snapshot(&self, now: Time, most: usize) -> Snapshot {
        let mut snapshot = Snapshot {
            capacity: 0,
            waiting: match &self.waiting {
                Waiting::Backlog(backlog) => WaitingView::Backlog(self.items(backlog, now, most)),
                Waiting::Ready(_) => WaitingView::Ready(self.waiting_pops()),
            },
            workers: Vec::new(),
            disconnected: Vec::new(),
            clients: Vec::new(),
        };
        for (slot, known) in self.workers.iter() {
            let (name, paused) = (known.name.clone(), known.paused);
            let connected = known.connected.as_ref().zip(self.workers.id(slot));
            let Some((worker, registration)) = connected else {
                snapshot
                    .disconnected
                    .push(DisconnectedView { name, paused });
                continue;
            };
            snapshot.capacity += u64::from(worker.capacity);
            snapshot.workers.push(WorkerView {
                name,
                registration,
                capacity: worker.capacity,
                paused,
                reasons: worker.reasons,
                queue: self.items(&worker.queue, now, most),
                workload: worker.workload,
                running: self.running_views(worker),
            });
        }
        for (id, client) in self.clients.iter() {
            snapshot.clients.push(ClientView {
                id: id.clone(),
                rate: client.rate,
                next_fair_start_in: client.next_fair_start.secs_after(now),
                queued: client.queued.len(),
                urgent: client.urgent,
            });
        }
        snapshot
    }

    fn waiting_pops(&self) -> Vec<WorkerName> {
        let Waiting::Ready(ready) = &self.waiting else {
            return Vec::new();
        };
        let mut names = Vec::new();
        for slot in ready.iter() {
            let Some(worker) = self.workers.get(slot) else {
                continue;
            };
            // The others will take what is in its queue.
            let waiting = worker.pops.len().saturating_sub(worker.queue.len());
            names.extend(core::iter::repeat_n(self.workers.name(slot), waiting));
        }
        names
    }

    fn running_views(&self, worker: &Worker) -> Vec<RunningView> {
        let views = worker.running.keys().filter_map(|id| {
            let ticket = self.tickets.get(id)?;
            Some(RunningView {
                ticket: *id,
                client: ticket.client.clone(),
                hint: ticket.hint.clone(),
                urgent: ticket.urgent,
            })
        });
        views.collect()
    }

    fn items(&self, queue: &InOrder, now: Time, most: usize) -> Items {
        let first: Vec<_> = queue
            .iter()
            .take(most)
            .filter_map(|turn| self.item(turn.ticket(), now))
            .collect();
        Items {
            more: queue.len() - first.len(),
            first,
        }
    }

    fn item(&self, id: TicketId, now: Time) -> Option<Item> {
        let ticket = self.tickets.get(&id)?;
        Some(Item {
            ticket: id,
            client: ticket.client.clone(),
            label: ticket.hint.to_string(),
            urgent: ticket.urgent,
            fair_start_in: ticket.fair_start.secs_after(now),
            cost: match ticket.location {
                Location::Queue { cost, .. } => Some(cost),
                Location::Backlog { .. } | Location::Running { .. } => None,
            },
        })
    }
}
