//! Every invariant of a pool, as code; called after each step in tests.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use core::time::Duration;

use crate::assign::Main;
use crate::ids::Slot;
use crate::ticket::Place;
use crate::worker::{Load, Worker};
use crate::{CacheHint, Pool};

/// Returns an error with the given text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(format!($($text)*));
        }
    };
}

impl Pool {
    /// Checks every invariant, and returns what is wrong with the first that doesn't hold.
    ///
    /// Slow: it looks at everything. Works between any two calls, though more must hold once effects
    /// are drained.
    pub fn check(&self) -> Result<(), String> {
        // By name and without `..`: whoever adds a field decides here what must be true of it.
        let Self {
            config: _,
            now: _,
            main: _,
            tickets: _,
            workers: _,
            pops: _,
            clients: _,
            affinity: _,
            deadlines: _,
            woken: _,
            effects: _,
            totals: _,
            last_ticket: _,
            last_pop: _,
            given: _,
        } = self;
        self.check_totals()?;
        self.check_tickets()?;
        self.check_loads()?;
        for (slot, name, worker) in self.workers.connected() {
            self.check_worker(slot, worker)
                .map_err(|e| format!("worker {name}: {e}"))?;
        }
        self.check_ready()?;
        self.check_pops()?;
        self.check_clients()?;
        self.check_affinity()
    }

    /// Nothing is lost, and nothing is delivered twice.
    fn check_totals(&self) -> Result<(), String> {
        let totals = &self.totals;
        let queued = self
            .tickets
            .values()
            .filter(|t| !is_running(t.place))
            .count();
        let running = self.tickets.len() - queued;
        ensure!(
            totals.submitted == totals.accepted + totals.cancelled + queued as u64,
            "{} submitted, but {} delivered + {} cancelled + {queued} queued",
            totals.submitted,
            totals.accepted,
            totals.cancelled
        );
        ensure!(
            running as u64 <= totals.accepted,
            "{running} running, but only {} ever delivered",
            totals.accepted
        );
        ensure!(
            self.last_ticket == totals.submitted,
            "{} ids given to {} tickets",
            self.last_ticket,
            totals.submitted
        );
        Ok(())
    }

    /// Each ticket is in the one place it says it is, and the places hold nothing else.
    fn check_tickets(&self) -> Result<(), String> {
        let (mut in_backlog, mut in_queues, mut running) = (0, 0, 0);
        for (id, ticket) in &self.tickets {
            let turn = ticket.turn(*id);
            let there = match ticket.place {
                Place::Backlog => {
                    in_backlog += 1;
                    matches!(&self.main, Main::Backlog(backlog) if backlog.contains(turn))
                }
                Place::Queue {
                    worker, deadline, ..
                } => {
                    in_queues += 1;
                    let has_deadline = self.deadlines.contains(&(deadline, *id));
                    let worker = self.workers.get(worker);
                    has_deadline && worker.is_some_and(|w| w.queue.contains(turn))
                }
                Place::Running { worker } => {
                    running += 1;
                    self.workers
                        .get(worker)
                        .is_some_and(|w| w.running.contains(id))
                }
            };
            ensure!(there, "ticket {id} is not in its place, {:?}", ticket.place);
            ensure!(
                ticket.refund.is_none() || ticket.place == Place::Backlog,
                "ticket {id} could be refunded in {:?}",
                ticket.place
            );
        }
        let backlog = match &self.main {
            Main::Backlog(backlog) => backlog.len(),
            Main::Ready(_) => 0,
        };
        let queues: usize = self
            .workers
            .connected()
            .map(|(_, _, w)| w.queue.len())
            .sum();
        let taken: usize = self
            .workers
            .connected()
            .map(|(_, _, w)| w.running.len())
            .sum();
        ensure!(
            backlog == in_backlog,
            "{backlog} in the backlog, but {in_backlog} say so"
        );
        ensure!(
            queues == in_queues,
            "{queues} in queues, but {in_queues} say so"
        );
        ensure!(taken == running, "{taken} running, but {running} say so");
        let deadlines = self.deadlines.len();
        ensure!(
            deadlines == in_queues,
            "{deadlines} deadlines for {in_queues} in queues"
        );
        Ok(())
    }

    /// The order of loads holds the active workers, as they are.
    fn check_loads(&self) -> Result<(), String> {
        let loads = self
            .workers
            .connected()
            .filter_map(|(slot, ..)| self.workers.load(slot));
        let expected: BTreeSet<Load> = loads.collect();
        let actual: BTreeSet<Load> = self.workers.by_load().cloned().collect();
        ensure!(
            actual == expected,
            "loads are {actual:?} but should be {expected:?}"
        );
        Ok(())
    }

    fn check_worker(&self, slot: Slot, worker: &Worker) -> Result<(), String> {
        let costs = worker
            .queue
            .iter()
            .filter_map(|turn| self.tickets.get(&turn.ticket()));
        let workload: Duration = costs
            .map(|ticket| match ticket.place {
                Place::Queue { estimate, .. } => self.config.cost.of(estimate),
                Place::Backlog | Place::Running { .. } => Duration::ZERO,
            })
            .sum();
        ensure!(
            worker.workload == workload,
            "workload is {:?} but its queue sums to {workload:?}",
            worker.workload
        );
        let waits = worker.waiting.is_some();
        ensure!(
            worker.is_active() || (worker.queue.is_empty() && !waits),
            "inactive, but has tickets or waits for some"
        );
        ensure!(
            !waits || worker.wants_more(),
            "waits, but its queue has enough for its pops"
        );
        ensure!(
            worker.heard <= self.now,
            "gave a sign of life in the future"
        );
        ensure!(
            !worker.asked || (worker.is_active() && self.is_in_doubt(worker)),
            "is asked whether it is there, for no reason"
        );
        ensure!(
            !worker.asked || !waits,
            "waits for tickets, though nobody knows whether it is there"
        );
        ensure!(
            worker.given <= self.given,
            "was given a ticket in the future"
        );
        ensure!(
            !worker.woken || self.woken.contains(&slot),
            "is woken, but won't be served"
        );
        if self.woken.is_empty() && worker.is_active() && !worker.asked && !worker.pops.is_empty() {
            ensure!(
                worker.queue.is_empty(),
                "asks for jobs, but its queue isn't empty"
            );
            ensure!(waits, "asks for jobs, but neither has one nor waits");
        }
        Ok(())
    }

    /// Nobody waits while there is a backlog (the type says so), and who waits is in the list.
    fn check_ready(&self) -> Result<(), String> {
        let waiting = self
            .workers
            .connected()
            .filter_map(|(slot, _, worker)| worker.waiting.map(|since| (slot, since)));
        let mut count = 0;
        for (slot, since) in waiting {
            count += 1;
            let listed = matches!(&self.main, Main::Ready(ready) if ready.get(since) == Some(slot));
            ensure!(
                listed,
                "{} waits, but is not in the ready list",
                self.workers.name(slot)
            );
        }
        let ready = match &self.main {
            Main::Backlog(_) => 0,
            Main::Ready(ready) => ready.len(),
        };
        ensure!(
            ready == count,
            "{ready} in the ready list, but {count} wait"
        );
        Ok(())
    }

    fn check_pops(&self) -> Result<(), String> {
        for (pop, slot) in &self.pops {
            let known = self
                .workers
                .get(*slot)
                .is_some_and(|w| w.pops.contains(pop));
            ensure!(known, "pop {pop} is unknown to its worker");
        }
        let pops: usize = self.workers.connected().map(|(_, _, w)| w.pops.len()).sum();
        ensure!(
            pops == self.pops.len(),
            "workers have {pops} pops, we {}",
            self.pops.len()
        );
        Ok(())
    }

    fn check_clients(&self) -> Result<(), String> {
        let mut queued = 0;
        for (id, client) in self.clients.iter() {
            let tickets = client
                .queued
                .iter()
                .filter_map(|ticket| self.tickets.get(ticket));
            let own = tickets.filter(|t| t.client == *id && !is_running(t.place));
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
        let all = self
            .tickets
            .values()
            .filter(|t| !is_running(t.place))
            .count();
        ensure!(
            queued == all,
            "clients have {queued} tickets queued, but there are {all}"
        );
        Ok(())
    }

    /// Hints are counted right, known from both sides, and dropped when unused.
    fn check_affinity(&self) -> Result<(), String> {
        let mut expected: BTreeMap<&CacheHint, u32> = BTreeMap::new();
        for ticket in self.tickets.values().filter(|t| !is_running(t.place)) {
            *expected.entry(&ticket.hint).or_default() += 1;
        }
        let cached: BTreeMap<_, _> = self.affinity.cached().collect();
        for (hint, queued) in self.affinity.queued() {
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
        for (slot, hints) in self.affinity.by_worker() {
            ensure!(
                self.workers.known(slot).is_some(),
                "hints of a worker that was forgotten"
            );
            for hint in hints {
                pairs += 1;
                let both = cached
                    .get(hint)
                    .is_some_and(|workers| workers.contains(&slot));
                ensure!(both, "hint {hint} doesn't know {}", self.workers.name(slot));
            }
        }
        let expected: usize = cached.values().map(|workers| workers.len()).sum();
        ensure!(
            pairs == expected,
            "workers have {pairs} hints, hints {expected} workers"
        );
        Ok(())
    }
}

fn is_running(place: Place) -> bool {
    matches!(place, Place::Running { .. })
}
