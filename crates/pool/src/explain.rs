//! Why tickets wait, and what workers do meanwhile: facts, for explanations.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::affinity::Soonest;
use crate::assign::Waiting;
use crate::backlog::InOrder;
use crate::ticket::{Location, Ticket};
use crate::worker::KnownWorker;
use crate::{CacheHint, ClientId, InactiveReasons, Pool, TicketId, Time, WorkerId, WorkerName};

/// Why the tickets of a pool wait, and what its workers do, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitFacts {
    /// The first tickets of each queue: those of the backlog, then those in the queues of workers.
    pub tickets: Vec<TicketFacts>,
    /// How many tickets are in the backlog.
    pub backlog: usize,
    /// How many of those are urgent.
    pub urgent: usize,
    /// The known workers, connected or not, in the order of their names.
    pub workers: Vec<WorkerFacts>,
    /// When the first ticket in a worker's queue may move to a free one; `None` if there is none. It may have passed.
    pub next_move: Option<Time>,
}

/// Why a ticket waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketFacts {
    /// Its id.
    pub ticket: TicketId,
    /// The worker in whose queue it is; `None` in the backlog.
    pub chosen: Option<ChosenFacts>,
    /// The worker that others leave it to; `None` in a worker's queue, and if any worker takes it.
    pub passed: Option<PassedFacts>,
    /// What is before it there.
    pub ahead: Ahead,
}

/// The worker that a ticket waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenFacts {
    /// Its name.
    pub worker: WorkerName,
    /// Whether it is preferred, as it has the hint cached; else it was free.
    pub is_preferred: bool,
    /// From then on, a worker that is free may have the ticket. It may have passed.
    pub until: Time,
    /// How much time its cache is expected to save.
    pub saves: Duration,
}

/// The worker that others leave a ticket of the backlog to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedFacts {
    /// The name of the one that is free first of those that have its hint cached.
    pub worker: WorkerName,
    /// From then on, the next worker takes it; before, too, if its client gets behind its share.
    pub until: Time,
    /// How much time the cache is expected to save.
    pub saves: Duration,
}

/// The tickets before one in its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// How many there are.
    pub all: usize,
    /// How many of them are urgent.
    pub urgent: usize,
    /// How many of them are of the same client.
    pub own: usize,
    /// How many of them are as urgent, but were submitted later, by other clients, which had used less of their shares.
    pub by_share: usize,
}

/// What a worker does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerFacts {
    /// Its name.
    pub name: WorkerName,
    /// Its registration; `None` while it is disconnected.
    pub registration: Option<WorkerId>,
    /// Whether an admin has paused it. It is then, or will be when it connects.
    pub paused: bool,
    /// Why it is inactive, if it is connected.
    pub reasons: InactiveReasons,
    /// How many jobs it runs at once, as it reports.
    pub capacity: u32,
    /// How many it runs.
    pub running: usize,
    /// For how many more jobs it asks.
    pub asks_for: usize,
    /// Whether it is being probed, and takes nothing until it answers.
    pub is_probed: bool,
    /// How many tickets are in its queue.
    pub queued: usize,
}

impl Pool {
    /// Returns why tickets wait, with at most `most` of each queue, and what the workers do.
    pub fn wait_facts(&self, most: usize) -> WaitFacts {
        let mut facts = WaitFacts {
            next_move: self.deadlines.first().map(|(deadline, _)| *deadline),
            ..WaitFacts::default()
        };
        if let Waiting::Backlog(backlog) = &self.waiting {
            facts.backlog = backlog.len();
            facts.urgent = backlog.urgent();
            self.add_tickets(backlog, most, &mut facts.tickets);
        }
        for (slot, known) in self.workers.iter() {
            if let Some(worker) = &known.connected {
                self.add_tickets(&worker.queue, most, &mut facts.tickets);
            }
            facts
                .workers
                .push(worker_facts(self.workers.id(slot), known));
        }
        facts
    }

    fn add_tickets(&self, queue: &InOrder, most: usize, tickets: &mut Vec<TicketFacts>) {
        let mut counts = Counts::default();
        let mut soonest = BTreeMap::new();
        for turn in queue.iter().take(most) {
            let id = turn.ticket();
            let Some(ticket) = self.tickets.get(&id) else {
                continue;
            };
            tickets.push(TicketFacts {
                ticket: id,
                chosen: self.chosen(ticket),
                passed: self.passed(ticket, &mut soonest),
                ahead: counts.pass(id, ticket),
            });
        }
    }

    fn chosen(&self, ticket: &Ticket) -> Option<ChosenFacts> {
        let Location::Queue {
            worker,
            is_preferred,
            deadline,
            cost: _,
        } = ticket.location
        else {
            return None;
        };
        Some(ChosenFacts {
            worker: self.workers.name(worker),
            is_preferred,
            until: deadline,
            saves: self.costs(ticket).cache_wait(),
        })
    }

    /// Returns to whom workers leave a ticket now. Whom that is depends on its hint alone, so it is looked up once for
    /// each.
    fn passed<'a>(
        &self,
        ticket: &'a Ticket,
        soonest: &mut BTreeMap<&'a CacheHint, Soonest>,
    ) -> Option<PassedFacts> {
        let Location::Backlog {
            passed_since: Some(since),
        } = ticket.location
        else {
            return None;
        };
        let saves = self.costs(ticket).saving();
        let until = since + saves;
        if until <= self.now || !self.may_wait(ticket) {
            return None;
        }
        let (affinity, workers) = (&self.affinity, &self.workers);
        let found = soonest.entry(&ticket.hint).or_insert_with(|| {
            affinity.soonest(&ticket.hint, workers, (self.now, |_| Duration::MAX), None)
        });
        match found {
            Soonest::Within(worker) => Some(PassedFacts {
                worker: self.workers.name(*worker),
                until,
                saves,
            }),
            Soonest::Later | Soonest::None => None,
        }
    }
}

fn worker_facts(registration: Option<WorkerId>, known: &KnownWorker) -> WorkerFacts {
    let KnownWorker {
        name,
        paused,
        connected,
    } = known;
    let connected = connected.as_ref();
    WorkerFacts {
        name: name.clone(),
        registration,
        paused: *paused,
        reasons: connected.map_or(InactiveReasons::NONE, |worker| worker.reasons),
        capacity: connected.map_or(0, |worker| worker.capacity),
        running: connected.map_or(0, |worker| worker.running.len()),
        asks_for: connected.map_or(0, |worker| worker.pops.len()),
        is_probed: connected.is_some_and(|worker| worker.awaiting_reply),
        queued: connected.map_or(0, |worker| worker.queue.len()),
    }
}

/// Counts the tickets of a queue, in their order.
#[derive(Default)]
struct Counts<'a> {
    passed: usize,
    urgent: usize,
    clients: BTreeMap<&'a ClientId, ClientCounts>,
    /// Those that are as urgent as the last one and were placed by their client's share, by age.
    placed: Vec<TicketId>,
    /// Whether the last one was urgent.
    was_urgent: bool,
}

/// The tickets of a client among those that were counted.
#[derive(Default)]
struct ClientCounts {
    passed: usize,
    /// As in [`Counts`].
    placed: Vec<TicketId>,
}

impl<'a> Counts<'a> {
    /// Returns what is before the next ticket, and counts it.
    fn pass(&mut self, id: TicketId, ticket: &'a Ticket) -> Ahead {
        if self.was_urgent != ticket.urgent {
            // Urgent ones go before the others whatever their client's share.
            self.was_urgent = ticket.urgent;
            self.placed.clear();
            for counts in self.clients.values_mut() {
                counts.placed.clear();
            }
        }
        let client = self.clients.entry(&ticket.client).or_default();
        let ahead = Ahead {
            all: self.passed,
            urgent: self.urgent,
            own: client.passed,
            by_share: later(&self.placed, id).saturating_sub(later(&client.placed, id)),
        };
        self.passed += 1;
        self.urgent += usize::from(ticket.urgent);
        client.passed += 1;
        // One that a worker has had keeps its place: its number does not show its age.
        if !ticket.was_assigned {
            insert(&mut self.placed, id);
            insert(&mut client.placed, id);
        }
        ahead
    }
}

/// Returns how many of the tickets, which are sorted, are later than one.
fn later(sorted: &[TicketId], id: TicketId) -> usize {
    sorted.len() - sorted.partition_point(|other| *other <= id)
}

fn insert(sorted: &mut Vec<TicketId>, id: TicketId) {
    let place = sorted.partition_point(|other| *other < id);
    sorted.insert(place, id);
}
