//! What a forecast is made from.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::assign::Waiting;
use crate::backlog::InOrder;
use crate::ids::Slot;
use crate::ticket::{Location, Ticket};
use crate::times::Expected;
use crate::worker::Workers;
use crate::{CacheHint, Config, Pool, TicketId, Time};

/// What a forecast is made from: a small copy of a pool, to be run forward on another thread.
#[derive(Clone, Debug)]
pub struct Outlook {
    pub(crate) pool: Pool,
}

/// What is expected of the tickets of an outlook.
#[derive(Clone, Debug)]
pub(crate) struct Expectations {
    /// By ticket.
    pub(crate) jobs: BTreeMap<TicketId, ExpectedJob>,
    /// How many hints they have.
    pub(crate) hints: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpectedJob {
    pub(crate) warm: Expected,
    pub(crate) cold: Expected,
    /// The number of its hint; `None` if it has none.
    pub(crate) hint: Option<usize>,
}

impl Pool {
    /// Returns what a forecast is made from, with at most `most` tickets of each queue; `None` while too little is
    /// known of how long jobs take.
    pub fn outlook(&self, now: Time, most: usize) -> Option<Outlook> {
        if !self.times.are_known() {
            return None;
        }
        let waiting = match &self.waiting {
            Waiting::Backlog(backlog) => Waiting::Backlog(beginning(backlog, most)),
            Waiting::Ready(ready) => Waiting::Ready(ready.clone()),
        };
        let mut workers = self.workers.clone();
        let wanted = limit(&waiting, &mut workers, most).into_iter();
        let tickets: BTreeMap<TicketId, Ticket> = wanted
            .filter_map(|id| Some((id, self.tickets.get(&id)?.clone())))
            .collect();
        let deadlines = tickets
            .iter()
            .filter_map(|(id, ticket)| match ticket.location {
                Location::Queue { deadline, .. } => Some((deadline, *id)),
                _ => None,
            });
        let hints = distinct(tickets.values().map(|ticket| &ticket.hint), |hint| {
            hint.as_str()
        });
        let clients = distinct(tickets.values().map(|ticket| &ticket.client), |client| {
            client.as_str()
        });
        let pool = Self {
            config: Config {
                probe_after: None,
                ..self.config.clone()
            },
            now: self.now.max(now),
            deadlines: deadlines.collect(),
            affinity: self.affinity.some(hints.into_iter()),
            clients: self.clients.some(clients.into_iter()),
            times: self.times.without_hints(),
            waiting,
            tickets,
            workers,
            pops: self.pops.clone(),
            scheduled: self.scheduled.clone(),
            effects: VecDeque::new(),
            totals: self.totals,
            last_ticket: self.last_ticket,
            last_pop: self.last_pop,
            assignment_seq: self.assignment_seq,
        };
        Some(Outlook { pool })
    }
}

impl Outlook {
    /// Returns what is expected of the tickets; `None` while too little is known. It is found here, and not when the
    /// copy is made, as that holds the copy's maker.
    pub(crate) fn expectations(&self) -> Option<Expectations> {
        let Pool {
            tickets,
            affinity,
            clients,
            times,
            config,
            ..
        } = &self.pool;
        let hints: BTreeSet<&CacheHint> = tickets.values().map(|ticket| &ticket.hint).collect();
        let numbers: BTreeMap<&CacheHint, usize> = hints.into_iter().zip(0..).collect();
        let jobs = tickets.iter().map(|(id, ticket)| {
            let hint = affinity.known(&ticket.hint);
            let client = clients.times(&ticket.client);
            let has_hint = !ticket.hint.is_none();
            let expect = |is_warm| times.expect((hint, has_hint), client, is_warm, &config.cost);
            let job = ExpectedJob {
                warm: expect(true)?,
                cold: expect(false)?,
                hint: numbers.get(&ticket.hint).copied().filter(|_| has_hint),
            };
            Some((*id, job))
        });
        Some(Expectations {
            jobs: jobs.collect::<Option<_>>()?,
            hints: numbers.len(),
        })
    }
}

/// Leaves out values whose text is in the same place as that of another one. Most tickets share theirs, so this leaves
/// few to be looked up; texts that are equal, but in different places, do no harm.
fn distinct<'a, T>(values: impl Iterator<Item = &'a T>, text: fn(&T) -> &str) -> Vec<&'a T> {
    let place = |value: &&T| text(value).as_ptr();
    let mut values: Vec<&T> = values.collect();
    values.sort_unstable_by_key(place);
    values.dedup_by_key(|value| place(value));
    values
}

/// Shortens the queues of workers. Returns the tickets that are in all queues then, or run.
fn limit(waiting: &Waiting, workers: &mut Workers, most: usize) -> Vec<TicketId> {
    let mut wanted = Vec::new();
    if let Waiting::Backlog(backlog) = waiting {
        wanted.extend(backlog.iter().map(|turn| turn.ticket()));
    }
    let slots: Vec<Slot> = workers.connected().map(|(slot, ..)| slot).collect();
    for slot in slots {
        workers.update(slot, |worker| {
            if worker.queue.len() > most {
                worker.queue = beginning(&worker.queue, most);
            }
            wanted.extend(worker.queue.iter().map(|turn| turn.ticket()));
            wanted.extend(worker.running.keys());
        });
    }
    wanted
}

/// Returns the first turns of a queue.
fn beginning(queue: &InOrder, most: usize) -> InOrder {
    let mut first = InOrder::default();
    for turn in queue.iter().take(most) {
        first.insert(turn);
    }
    first
}
