//! Gives tickets to workers: when one is submitted, when a worker asks, and when things change.

use core::mem;
use core::time::Duration;

use crate::affinity::Soonest;
use crate::backlog::{InOrder, Turn};
use crate::ids::Slot;
use crate::ready::ReadyList;
use crate::ticket::{Location, Ticket};
use crate::times::Costs;
use crate::window::Known;
use crate::worker::{ExpectedRun, Worker};
use crate::{CacheHint, Decision, Effect, Estimate, InactiveReason, Pool, TicketId};

/// How many tickets one pop may divert from the backlog to workers preferred for them, before it takes
/// the next whatever its hint: so that no pop keeps its caller long.
const MAX_DIVERSIONS: usize = 128;

/// Either tickets wait for workers, or workers for tickets. Never both.
#[derive(Clone, Debug)]
pub(crate) enum Waiting {
    Backlog(InOrder),
    Ready(ReadyList),
}

impl Default for Waiting {
    fn default() -> Self {
        Self::Backlog(InOrder::default())
    }
}

impl Waiting {
    pub(crate) fn leave_backlog(&mut self, turn: Turn) {
        if let Self::Backlog(backlog) = self {
            backlog.remove(turn);
        }
    }

    fn has_backlog(&self) -> bool {
        matches!(self, Self::Backlog(backlog) if !backlog.is_empty())
    }

    pub(crate) fn has_ready_worker(&self) -> bool {
        matches!(self, Self::Ready(ready) if !ready.is_empty())
    }

    /// Returns the backlog, which becomes a new one if no worker is in the ready list. `None` if one
    /// is.
    fn backlog(&mut self) -> Option<&mut InOrder> {
        if matches!(self, Self::Ready(ready) if ready.is_empty()) {
            *self = Self::default();
        }
        match self {
            Self::Backlog(backlog) => Some(backlog),
            Self::Ready(_) => None,
        }
    }
}

/// Finding a worker for a ticket.
impl Pool {
    /// Gives a ticket that is nowhere to a worker, or adds it to the backlog if none waits.
    pub(crate) fn add(&mut self, id: TicketId, except: Option<Slot>) {
        let Some(ticket) = self.tickets.get_mut(&id) else {
            return;
        };
        if let Some(backlog) = self.waiting.backlog() {
            ticket.location = Location::BACKLOG;
            backlog.insert(ticket.turn(id));
            let hint = ticket.hint.clone();
            return self.decided(Decision::AddedToBacklog { ticket: id, hint });
        }
        if self.assign_preferred(id, except) {
            return;
        }
        if let Waiting::Ready(ready) = &self.waiting
            && let Some(worker) = ready.oldest()
        {
            let hint = self.assign(id, worker, Estimate::NonCached);
            let worker = self.workers.name(worker);
            self.decided(Decision::AssignedToNextFree {
                ticket: id,
                hint,
                worker,
            });
        }
    }

    /// Gives a ticket to the worker preferred for it, if there is one. It need not be waiting.
    fn assign_preferred(&mut self, id: TicketId, except: Option<Slot>) -> bool {
        let Soonest::Within(worker) = self.preferred(id, except) else {
            return false;
        };
        self.assign_to_preferred(id, worker);
        true
    }

    fn assign_to_preferred(&mut self, id: TicketId, worker: Slot) {
        let hint = self.assign(id, worker, Estimate::Cached);
        let worker = self.workers.name(worker);
        self.decided(Decision::AssignedToPreferred {
            ticket: id,
            hint,
            worker,
        });
    }

    fn preferred(&self, id: TicketId, except: Option<Slot>) -> Soonest {
        let Some(ticket) = self.tickets.get(&id) else {
            return Soonest::None;
        };
        let (affinity, workers) = (&self.affinity, &self.workers);
        if self.times.are_known() {
            // It waits for a cache only as long as that saves time.
            let limit = |hint| match self.may_wait(ticket) {
                true => self.costs_of(ticket, hint).saving(),
                false => Duration::ZERO,
            };
            affinity.soonest(&ticket.hint, workers, (self.now, limit), except)
        } else {
            let limit = self.config.cost.non_cached;
            let preferred = affinity.preferred(&ticket.hint, workers, limit, except);
            preferred.map_or(Soonest::None, Soonest::Within)
        }
    }

    /// A worker with room comes to a ticket in the backlog that is better done by another one, which is busy. Returns
    /// whether it leaves the ticket there, as it may for as long as that saves time.
    fn pass(&mut self, id: TicketId) -> bool {
        let (now, Some(ticket)) = (self.now, self.tickets.get(&id)) else {
            return false;
        };
        if !self.may_wait(ticket) {
            return false;
        }
        let saving = self.costs(ticket).saving();
        let Some(Ticket {
            location: Location::Backlog { passed_since },
            ..
        }) = self.tickets.get_mut(&id)
        else {
            return false;
        };
        now.since(*passed_since.get_or_insert(now)) < saving
    }

    /// Returns whether a ticket may wait for a cache. It may not while others wait for workers and its client is behind
    /// its share: it would get less and less.
    pub(crate) fn may_wait(&self, ticket: &Ticket) -> bool {
        !self.waiting.has_backlog() || !self.clients.is_behind(&ticket.client)
    }

    /// Returns what a ticket's job is expected to take.
    pub(crate) fn costs(&self, ticket: &Ticket) -> Costs {
        self.costs_of(ticket, self.affinity.known(&ticket.hint))
    }

    /// Returns what a ticket's job is expected to take, of whose hint something is known.
    fn costs_of(&self, ticket: &Ticket, hint: Known) -> Costs {
        let client = || self.clients.times(&ticket.client);
        self.times.costs(hint, client, &self.config.cost)
    }

    /// Puts a ticket that is nowhere into a worker's queue, and wakes the worker. Returns its hint.
    fn assign(&mut self, id: TicketId, slot: Slot, estimate: Estimate) -> CacheHint {
        let ticket = self
            .tickets
            .get_mut(&id)
            .expect("only tickets that exist are assigned");
        // Already now, so that tickets with the same hint follow this one.
        let (is_new, known) = self.affinity.remember(&ticket.hint, slot, &self.times);
        let client = || self.clients.times(&ticket.client);
        let costs = self.times.costs(known, client, &self.config.cost);
        let cost = costs.of(estimate);
        let deadline = self.now + costs.cache_wait();
        ticket.location = Location::Queue {
            worker: slot,
            is_preferred: estimate == Estimate::Cached,
            cost,
            deadline,
        };
        ticket.was_assigned = true;
        ticket.is_warm = !is_new && !ticket.hint.is_none();
        let (turn, hint) = (ticket.turn(id), ticket.hint.clone());
        self.deadlines.insert((deadline, id));
        self.assignment_seq += 1;
        let seq = self.assignment_seq;
        self.workers.update(slot, |worker| {
            worker.queue.insert(turn);
            worker.workload += cost;
            worker.last_assigned = seq;
        });
        self.save_cached(&hint, slot, is_new);
        self.schedule(slot);
        // It has been served, so it goes to the back, if it still wants more.
        if self.leave_ready(slot) && self.workers.get(slot).is_some_and(Worker::wants_more) {
            self.join_ready(slot);
        }
        hint
    }

    /// Takes a ticket out of a worker's queue, and leaves it nowhere.
    pub(crate) fn leave_queue(&mut self, id: TicketId, slot: Slot) {
        let Some(ticket) = self.tickets.get(&id) else {
            return;
        };
        let Location::Queue { cost, deadline, .. } = ticket.location else {
            return;
        };
        let turn = ticket.turn(id);
        self.deadlines.remove(&(deadline, id));
        self.workers.update(slot, |worker| {
            worker.queue.remove(turn);
            worker.workload -= cost;
        });
    }

    /// Takes a worker's queue and finds other places for it.
    pub(crate) fn push_back(&mut self, slot: Slot, except: Option<Slot>) {
        let queue = self
            .workers
            .update(slot, |worker| mem::take(&mut worker.queue));
        for turn in queue.unwrap_or_default().iter() {
            let id = turn.ticket();
            self.leave_queue(id, slot);
            match (&mut self.waiting, self.tickets.get_mut(&id)) {
                (Waiting::Backlog(backlog), Some(ticket)) => {
                    ticket.location = Location::BACKLOG;
                    backlog.insert(turn);
                    let hint = ticket.hint.clone();
                    self.decided(Decision::PushedBack { ticket: id, hint });
                }
                _ => self.add(id, except),
            }
        }
    }

    /// Moves tickets that have waited long enough for their workers to workers that are free.
    pub(crate) fn move_overdue(&mut self) {
        while let Some((deadline, id)) = self.deadlines.first().copied()
            && deadline <= self.now
            && let Waiting::Ready(ready) = &self.waiting
            && let Some(to) = ready.oldest()
            && let Some(Location::Queue { worker: from, .. }) =
                self.tickets.get(&id).map(|t| t.location)
        {
            self.leave_queue(id, from);
            let hint = self.assign(id, to, Estimate::NonCached);
            let (from, to) = (self.workers.name(from), self.workers.name(to));
            self.decided(Decision::MovedToFree {
                ticket: id,
                hint,
                from,
                to,
            });
        }
    }
}

/// Finding a ticket for a worker.
impl Pool {
    /// Has a worker's pops served at the next `poll_effect`.
    pub(crate) fn schedule(&mut self, slot: Slot) {
        let asleep = self.workers.update(slot, |worker| {
            !worker.pops.is_empty() && !mem::replace(&mut worker.scheduled, true)
        });
        if asleep == Some(true) {
            self.scheduled.push_back(slot);
        }
    }

    pub(crate) fn serve_scheduled(&mut self, slot: Slot) {
        let scheduled = self
            .workers
            .update(slot, |worker| mem::take(&mut worker.scheduled));
        if scheduled == Some(true) {
            self.serve(slot);
        }
    }

    /// Answers as many of a worker's pops as there are tickets for.
    pub(crate) fn serve(&mut self, slot: Slot) {
        let mut tries = 0;
        // The first ticket, and the last one, that it has left to others.
        let mut passed: Option<(Turn, Turn)> = None;
        while let Some(worker) = self.workers.get(slot)
            && worker.is_active()
            && !worker.pops.is_empty()
        {
            let is_wanted = !worker.queue.is_empty() || self.waiting.has_backlog();
            if worker.awaiting_reply || (is_wanted && self.needs_probe(worker)) {
                return self.probe(slot);
            }
            if let Some(turn) = worker.queue.first() {
                self.leave_queue(turn.ticket(), slot);
                let hint = self.take(turn.ticket(), slot, true);
                let worker = self.workers.name(slot);
                self.decided(Decision::TakenFromQueue {
                    ticket: turn.ticket(),
                    hint,
                    worker,
                });
                continue;
            }
            let next = match &mut self.waiting {
                Waiting::Ready(_) => return self.wait(slot),
                Waiting::Backlog(backlog) => match passed {
                    Some((_, last)) => backlog.after(last),
                    None => backlog.first(),
                },
            };
            // Rather than wait, it takes the first that it has passed.
            let Some(turn) = next.or(passed.map(|(first, _)| first)) else {
                self.waiting = Waiting::Ready(ReadyList::default());
                continue;
            };
            let preferred = match next {
                Some(_) if tries < MAX_DIVERSIONS => self.preferred(turn.ticket(), None),
                _ => Soonest::None,
            };
            tries += 1;
            match preferred {
                Soonest::Within(worker) => {
                    self.waiting.leave_backlog(turn);
                    self.assign_to_preferred(turn.ticket(), worker);
                    continue;
                }
                Soonest::Later if self.pass(turn.ticket()) => {
                    passed = Some((passed.map_or(turn, |(first, _)| first), turn));
                    continue;
                }
                Soonest::Later | Soonest::None => {}
            }
            let turn = match next {
                // It has passed too many to look further.
                Some(_) if tries > MAX_DIVERSIONS => passed.map_or(turn, |(first, _)| first),
                _ => turn,
            };
            passed = None;
            self.waiting.leave_backlog(turn);
            let hint = self.take(turn.ticket(), slot, false);
            let worker = self.workers.name(slot);
            self.decided(Decision::TakenFromBacklog {
                ticket: turn.ticket(),
                hint,
                worker,
            });
        }
    }

    /// Returns whether a worker has been silent for so long that it must be probed first.
    pub(crate) fn needs_probe(&self, worker: &Worker) -> bool {
        self.config
            .probe_after
            .is_some_and(|silence| worker.last_heard + silence < self.now)
    }

    /// Has a worker probed. Until it answers it takes nothing, and other workers go first.
    fn probe(&mut self, slot: Slot) {
        let was_awaiting_reply = self.workers.update(slot, |worker| {
            mem::replace(&mut worker.awaiting_reply, true)
        });
        self.leave_ready(slot);
        if let (Some(false), Some(worker)) = (was_awaiting_reply, self.workers.id(slot)) {
            self.effects.push_back(Effect::Probe { worker });
        }
    }

    /// Delivers a ticket that is nowhere to the worker's oldest pop. Returns its hint.
    fn take(&mut self, id: TicketId, slot: Slot, was_queued: bool) -> CacheHint {
        let ticket = self
            .tickets
            .get_mut(&id)
            .expect("only tickets that exist are taken");
        let (now, hint) = (self.now, ticket.hint.clone());
        let client = self.clients.dequeue(&ticket.client, id, ticket.urgent);
        self.clients.took(ticket.fair_start, ticket.urgent);
        let has_waited = match ticket.location {
            Location::Queue { is_preferred, .. } => is_preferred,
            Location::Backlog { passed_since } => passed_since.is_some(),
            Location::Running { .. } => false,
        };
        if let (true, true, Some(charge)) = (has_waited, self.waiting.has_backlog(), ticket.charge)
        {
            self.clients.waited(&ticket.client, charge);
        }
        let (is_new, known) = self.affinity.take(&hint, slot, &self.times);
        ticket.location = Location::Running {
            worker: slot,
            since: Some(now),
        };
        ticket.was_assigned = true;
        // One from its queue was the first there with its hint, or was not.
        if !was_queued {
            ticket.is_warm = !is_new && !hint.is_none();
        }
        let costs = self.times.costs(known, || client, &self.config.cost);
        let end = now + costs.of(ticket.estimate());
        self.save_cached(&hint, slot, is_new);
        self.assignment_seq += 1;
        let seq = self.assignment_seq;
        let pop = self.workers.update(slot, |worker| {
            worker.running.insert(id, ExpectedRun { since: now, end });
            worker.last_assigned = seq;
            worker.pops.pop_first()
        });
        self.totals.accepted += 1;
        if let (Some(Some(pop)), Some(worker)) = (pop, self.workers.id(slot)) {
            self.pops.remove(&pop);
            let name = self.workers.name(slot);
            self.effects.push_back(Effect::Deliver {
                pop,
                worker,
                name,
                ticket: id,
            });
        }
        self.running_changed(slot);
        hint
    }

    /// Adds a worker to the ready list, unless it is there.
    fn wait(&mut self, slot: Slot) {
        if self.join_ready(slot) {
            let worker = self.workers.name(slot);
            self.decided(Decision::Waiting { worker });
        }
    }

    /// Adds a worker to the back of the ready list, if there is one and it is not there.
    fn join_ready(&mut self, slot: Slot) -> bool {
        let Waiting::Ready(ready) = &mut self.waiting else {
            return false;
        };
        let joined = self
            .workers
            .update(slot, |worker| match worker.ready_since {
                Some(_) => false,
                None => {
                    worker.ready_since = Some(ready.push(slot));
                    true
                }
            });
        joined == Some(true)
    }

    fn leave_ready(&mut self, slot: Slot) -> bool {
        let since = self
            .workers
            .update(slot, |worker| worker.ready_since.take())
            .flatten();
        if let (Waiting::Ready(ready), Some(since)) = (&mut self.waiting, since) {
            ready.remove(since);
        }
        since.is_some()
    }

    /// Takes a worker out of the ready list unless it still wants more than it has queued.
    pub(crate) fn leave_ready_if_satisfied(&mut self, slot: Slot) {
        if self
            .workers
            .get(slot)
            .is_some_and(|worker| !worker.wants_more())
        {
            self.leave_ready(slot);
        }
    }
}

/// Active and inactive workers.
impl Pool {
    pub(crate) fn add_reason(&mut self, slot: Slot, reason: InactiveReason) {
        let was_active = self.workers.update(slot, |worker| {
            let was_active = worker.is_active();
            worker.reasons = worker.reasons.with(reason);
            worker.awaiting_reply = false;
            was_active
        });
        let worker = self.workers.name(slot);
        if reason == InactiveReason::ShuttingDown {
            self.decided(Decision::ShuttingDown {
                worker: worker.clone(),
            });
        }
        if was_active == Some(true) {
            let reassigning = self
                .workers
                .get(slot)
                .map_or(0, |worker| worker.queue.len());
            self.decided(Decision::Deactivated {
                worker,
                reassigning,
            });
            self.leave_ready(slot);
            self.push_back(slot, None);
        }
    }

    pub(crate) fn remove_reason(&mut self, slot: Slot, reason: InactiveReason) {
        let left = self.workers.update(slot, |worker| {
            let had = worker.reasons.contains(reason);
            worker.reasons = worker.reasons.without(reason);
            had.then_some(worker.reasons)
        });
        // Nothing changes for a worker that was not inactive for this reason.
        let Some(Some(left)) = left else { return };
        let worker = self.workers.name(slot);
        if left.is_empty() {
            self.decided(Decision::Activated { worker });
            self.schedule(slot);
        } else {
            self.decided(Decision::ReasonRemoved {
                worker,
                reason,
                left,
            });
        }
    }

    pub(crate) fn save_paused(&mut self, slot: Slot, paused: bool) {
        if let Some(known) = self.workers.known_mut(slot) {
            known.paused = paused;
            let worker = known.name.clone();
            self.effects
                .push_back(Effect::SavePaused { worker, paused });
        }
    }
}

/// Effects for the caller.
impl Pool {
    pub(crate) fn decided(&mut self, decision: Decision) {
        self.effects.push_back(Effect::Decided(decision));
    }

    pub(crate) fn running_changed(&mut self, slot: Slot) {
        let running = self
            .workers
            .get(slot)
            .map_or(0, |worker| worker.running.len());
        let worker = self.workers.name(slot);
        self.effects
            .push_back(Effect::RunningChanged { worker, running });
    }

    /// Has it saved that a worker has a hint cached, if that is new.
    fn save_cached(&mut self, hint: &CacheHint, slot: Slot, is_new: bool) {
        if is_new && !hint.is_none() {
            let worker = self.workers.name(slot);
            self.effects.push_back(Effect::SaveCached {
                hint: hint.clone(),
                worker,
            });
        }
    }
}
