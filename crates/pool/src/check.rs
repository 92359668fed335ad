//! Every invariant of a pool, as code; called after each step in tests.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use core::time::Duration;

use crate::affinity::Affinity;
use crate::assign::Waiting;
use crate::ids::Slot;
use crate::share::Clients;
use crate::ticket::{Location, Ticket};
use crate::times::Times;
use crate::worker::{Load, Worker, Workers};
use crate::{CacheHint, Effect, Pool, PopId, TicketId, Time, Totals};

type Tickets = BTreeMap<TicketId, Ticket>;

/// Returns an error with the given text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(format!($($text)*));
        }
    };
}

impl Pool {
    /// Checks every invariant.
    ///
    /// Slow: it goes through everything. Works between any two calls, though more must hold once effects
    /// are drained.
    ///
    /// # Errors
    ///
    /// A text about the first invariant that does not hold.
    pub fn check(&self) -> Result<(), String> {
        // By name and without `..`: a new field does not compile before its invariants are decided here.
        let Self {
            config: _,
            now,
            waiting,
            tickets,
            workers,
            pops,
            clients,
            affinity,
            times,
            deadlines,
            scheduled,
            effects,
            totals,
            last_ticket,
            last_pop,
            assignment_seq,
        } = self;
        check_totals(totals, tickets, *last_ticket)?;
        check_tickets(tickets, waiting, workers, deadlines)?;
        check_loads(workers)?;
        for (slot, name, worker) in workers.connected() {
            check_workload(tickets, worker)
                .and_then(|()| check_activity(slot, worker, scheduled))
                .and_then(|()| check_liveness(*now, self.needs_probe(worker), worker))
                .and_then(|()| {
                    ensure!(
                        worker.last_assigned <= *assignment_seq,
                        "was assigned a ticket in the future"
                    );
                    Ok(())
                })
                .map_err(|e| format!("worker {name}: {e}"))?;
        }
        check_ready(waiting, workers)?;
        check_pops(pops, workers, *last_pop)?;
        check_effects(effects, pops)?;
        check_clients(clients, tickets)?;
        check_affinity(affinity, tickets, workers)?;
        check_times(times, affinity)
    }
}

/// Nothing is lost, and nothing is delivered twice.
fn check_totals(totals: &Totals, tickets: &Tickets, last_ticket: u64) -> Result<(), String> {
    let queued = tickets.values().filter(|t| !is_running(t.location)).count();
    let running = tickets.len() - queued;
    ensure!(
        totals.submitted == totals.accepted + totals.cancelled + queued as u64,
        "{} submitted, but {} delivered + {} cancelled + {queued} queued",
        totals.submitted,
        totals.accepted,
        totals.cancelled
    );
    ensure!(
        running as u64 <= totals.accepted + totals.adopted,
        "{running} running, but only {} ever delivered, and {} adopted",
        totals.accepted,
        totals.adopted
    );
    ensure!(
        last_ticket == totals.submitted + totals.adopted,
        "{} ids given to {} tickets",
        last_ticket,
        totals.submitted + totals.adopted
    );
    Ok(())
}

/// Each ticket is in its one location, and the locations hold nothing else.
fn check_tickets(
    tickets: &Tickets,
    waiting: &Waiting,
    workers: &Workers,
    deadlines: &BTreeSet<(Time, TicketId)>,
) -> Result<(), String> {
    let (mut in_backlog, mut in_queues, mut running) = (0, 0, 0);
    for (id, ticket) in tickets {
        let turn = ticket.turn(*id);
        let there = match ticket.location {
            Location::Backlog { .. } => {
                in_backlog += 1;
                matches!(waiting, Waiting::Backlog(backlog) if backlog.contains(turn))
            }
            Location::Queue {
                worker, deadline, ..
            } => {
                in_queues += 1;
                let has_deadline = deadlines.contains(&(deadline, *id));
                let worker = workers.get(worker);
                has_deadline && worker.is_some_and(|w| w.queue.contains(turn))
            }
            Location::Running { worker, .. } => {
                running += 1;
                workers
                    .get(worker)
                    .is_some_and(|w| w.running.contains_key(id))
            }
        };
        ensure!(
            there,
            "ticket {id} is not in its location, {:?}",
            ticket.location
        );
        ensure!(
            ticket.was_assigned || matches!(ticket.location, Location::Backlog { .. }),
            "ticket {id} could be refunded in {:?}",
            ticket.location
        );
    }
    let backlog = match waiting {
        Waiting::Backlog(backlog) => backlog.len(),
        Waiting::Ready(_) => 0,
    };
    let queues: usize = workers.connected().map(|(_, _, w)| w.queue.len()).sum();
    let taken: usize = workers.connected().map(|(_, _, w)| w.running.len()).sum();
    ensure!(
        backlog == in_backlog,
        "{backlog} in the backlog, but {in_backlog} tickets have that location"
    );
    ensure!(
        queues == in_queues,
        "{queues} in queues, but {in_queues} tickets have that location"
    );
    ensure!(
        taken == running,
        "{taken} running, but {running} tickets have that location"
    );
    let deadlines = deadlines.len();
    ensure!(
        deadlines == in_queues,
        "{deadlines} deadlines for {in_queues} in queues"
    );
    Ok(())
}

/// The order of loads holds the active workers, as they are.
fn check_loads(workers: &Workers) -> Result<(), String> {
    let loads = workers
        .connected()
        .filter_map(|(slot, ..)| workers.load(slot));
    let expected: BTreeSet<Load> = loads.collect();
    let actual: BTreeSet<Load> = workers.by_load().cloned().collect();
    ensure!(
        actual == expected,
        "loads are {actual:?} but should be {expected:?}"
    );
    Ok(())
}

/// A worker's workload is what its queue costs.
fn check_workload(tickets: &Tickets, worker: &Worker) -> Result<(), String> {
    let costs = worker
        .queue
        .iter()
        .filter_map(|turn| tickets.get(&turn.ticket()));
    let workload: Duration = costs
        .map(|ticket| match ticket.location {
            Location::Queue { cost, .. } => cost,
            Location::Backlog { .. } | Location::Running { .. } => Duration::ZERO,
        })
        .sum();
    ensure!(
        worker.workload == workload,
        "workload is {:?} but its queue sums to {workload:?}",
        worker.workload
    );
    Ok(())
}

/// A worker has tickets, or waits for some, only while it takes any.
fn check_activity(slot: Slot, worker: &Worker, scheduled: &VecDeque<Slot>) -> Result<(), String> {
    let waits = worker.ready_since.is_some();
    ensure!(
        worker.is_active() || (worker.queue.is_empty() && !waits),
        "inactive, but has tickets or waits for some"
    );
    ensure!(
        !waits || worker.wants_more(),
        "waits, but its queue has enough for its pops"
    );
    ensure!(
        !worker.scheduled || scheduled.contains(&slot),
        "is scheduled, but will not be served"
    );
    if scheduled.is_empty()
        && worker.is_active()
        && !worker.awaiting_reply
        && !worker.pops.is_empty()
    {
        ensure!(
            worker.queue.is_empty(),
            "asks for jobs, but its queue is not empty"
        );
        ensure!(waits, "asks for jobs, but neither has one nor waits");
    }
    Ok(())
}

/// A worker is probed when it must be, and takes nothing meanwhile.
fn check_liveness(now: Time, needs_probe: bool, worker: &Worker) -> Result<(), String> {
    ensure!(
        worker.last_heard <= now,
        "was last heard from in the future"
    );
    ensure!(
        !worker.awaiting_reply || (worker.is_active() && needs_probe),
        "is probed for no reason"
    );
    ensure!(
        !worker.awaiting_reply || worker.ready_since.is_none(),
        "waits for tickets while it is probed"
    );
    Ok(())
}

/// A pop whose answer is on its way is not outstanding any more.
fn check_effects(effects: &VecDeque<Effect>, pops: &BTreeMap<PopId, Slot>) -> Result<(), String> {
    for effect in effects {
        if let Effect::Deliver { pop, .. } | Effect::PopFailed { pop } = effect {
            ensure!(
                !pops.contains_key(pop),
                "pop {pop} is answered, but outstanding"
            );
        }
    }
    Ok(())
}

/// No worker waits while there is a backlog (by the type), and each that waits is in the list.
fn check_ready(waiting: &Waiting, workers: &Workers) -> Result<(), String> {
    let listed_since = workers
        .connected()
        .filter_map(|(slot, _, worker)| worker.ready_since.map(|since| (slot, since)));
    let mut count = 0;
    for (slot, since) in listed_since {
        count += 1;
        let listed = matches!(waiting, Waiting::Ready(ready) if ready.get(since) == Some(slot));
        ensure!(
            listed,
            "{} waits, but is not in the ready list",
            workers.name(slot)
        );
    }
    let ready = match waiting {
        Waiting::Backlog(_) => 0,
        Waiting::Ready(ready) => ready.len(),
    };
    ensure!(
        ready == count,
        "{ready} in the ready list, but {count} wait"
    );
    Ok(())
}

fn check_pops(
    pops: &BTreeMap<PopId, Slot>,
    workers: &Workers,
    last_pop: u64,
) -> Result<(), String> {
    for (pop, slot) in pops {
        ensure!(pop.get() <= last_pop, "pop {pop} has an id from the future");
        let known = workers.get(*slot).is_some_and(|w| w.pops.contains(pop));
        ensure!(known, "pop {pop} is unknown to its worker");
    }
    let held: usize = workers.connected().map(|(_, _, w)| w.pops.len()).sum();
    ensure!(
        held == pops.len(),
        "workers have {held} pops, the pool has {}",
        pops.len()
    );
    Ok(())
}

fn check_clients(clients: &Clients, tickets: &Tickets) -> Result<(), String> {
    let mut queued = 0;
    for (id, client) in clients.iter() {
        let tickets = client
            .queued
            .iter()
            .filter_map(|ticket| tickets.get(ticket));
        let own = tickets.filter(|t| t.client == *id && !is_running(t.location));
        let (mut total, mut urgent) = (0, 0);
        for ticket in own {
            total += 1;
            urgent += usize::from(ticket.urgent);
        }
        ensure!(
            total == client.queued.len(),
            "client {id} has tickets that are not queued"
        );
        ensure!(
            urgent == client.urgent,
            "client {id} counts its urgent tickets wrong"
        );
        queued += total;
    }
    let all = tickets.values().filter(|t| !is_running(t.location)).count();
    ensure!(
        queued == all && clients.queued() == all,
        "clients have {queued} tickets queued and count {}, but there are {all}",
        clients.queued()
    );
    Ok(())
}

/// Hints are counted right, known from both sides, and dropped when unused.
fn check_affinity(affinity: &Affinity, tickets: &Tickets, workers: &Workers) -> Result<(), String> {
    let mut expected: BTreeMap<&CacheHint, u32> = BTreeMap::new();
    for ticket in tickets.values().filter(|t| !is_running(t.location)) {
        *expected.entry(&ticket.hint).or_default() += 1;
    }
    let cached: BTreeMap<_, _> = affinity.cached().collect();
    for (hint, queued) in affinity.queued() {
        let expected = expected.remove(hint).unwrap_or(0);
        ensure!(
            queued == expected,
            "hint {hint} counts {queued} tickets of {expected}"
        );
        ensure!(
            queued > 0 || cached.contains_key(hint),
            "hint {hint} is of no use"
        );
    }
    ensure!(expected.is_empty(), "hints are missing: {expected:?}");
    let mut pairs = 0;
    for (slot, hints) in affinity.by_worker() {
        ensure!(
            workers.known(slot).is_some(),
            "hints of a worker that was forgotten"
        );
        for hint in hints {
            pairs += 1;
            let both = cached
                .get(hint)
                .is_some_and(|workers| workers.contains(&slot));
            ensure!(both, "hint {hint} does not know {}", workers.name(slot));
        }
    }
    let expected: usize = cached.values().map(|workers| workers.len()).sum();
    ensure!(
        pairs == expected,
        "workers have {pairs} hints, hints {expected} workers"
    );
    Ok(())
}

/// The copies that decisions use are what was learned.
fn check_times(times: &Times, affinity: &Affinity) -> Result<(), String> {
    times.check()?;
    for (hint, known) in affinity.all_known() {
        ensure!(
            known == times.known(hint),
            "the times of hint {hint} are out of date"
        );
    }
    Ok(())
}

fn is_running(location: Location) -> bool {
    matches!(location, Location::Running { .. })
}
