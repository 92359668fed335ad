//! Gives tickets to workers: when one is submitted, when a worker asks, and when things change.

use core::mem;

use crate::backlog::{InOrder, Turn};
use crate::ids::Slot;
use crate::ready::ReadyList;
use crate::ticket::Place;
use crate::worker::Worker;
use crate::{CacheHint, Decision, Effect, Estimate, InactiveReason, Pool, TicketId};

/// How many tickets one pop may divert from the backlog to workers preferred for them, before it takes
/// the next whatever its hint: so that no pop keeps its caller long.
const DIVERSIONS: usize = 128;

/// Either tickets wait for workers, or workers for tickets. Never both.
#[derive(Debug)]
pub(crate) enum Main {
    Backlog(InOrder),
    Ready(ReadyList),
}

impl Default for Main {
    fn default() -> Self {
        Self::Backlog(InOrder::default())
    }
}

impl Main {
    pub(crate) fn leave_backlog(&mut self, turn: Turn) {
        if let Self::Backlog(backlog) = self {
            backlog.remove(turn);
        }
    }

    fn has_backlog(&self) -> bool {
        matches!(self, Self::Backlog(backlog) if !backlog.is_empty())
    }

    pub(crate) fn someone_waits(&self) -> bool {
        matches!(self, Self::Ready(ready) if !ready.is_empty())
    }

    /// Returns the backlog, which becomes a new one if nobody waits in the ready list. `None` if
    /// somebody does.
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
        if let Some(backlog) = self.main.backlog() {
            ticket.place = Place::Backlog;
            backlog.insert(ticket.turn(id));
            let hint = ticket.hint.clone();
            return self.decided(Decision::AddedToBacklog { ticket: id, hint });
        }
        if self.assign_preferred(id, except) {
            return;
        }
        if let Main::Ready(ready) = &self.main
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
        let Some(ticket) = self.tickets.get(&id) else {
            return false;
        };
        let limit = self.config.cost.non_cached;
        let Some(worker) = self
            .affinity
            .preferred(&ticket.hint, &self.workers, limit, except)
        else {
            return false;
        };
        let hint = self.assign(id, worker, Estimate::Cached);
        let worker = self.workers.name(worker);
        self.decided(Decision::AssignedToPreferred {
            ticket: id,
            hint,
            worker,
        });
        true
    }

    /// Puts a ticket that is nowhere into a worker's queue, and wakes the worker. Returns its hint.
    fn assign(&mut self, id: TicketId, slot: Slot, estimate: Estimate) -> CacheHint {
        let ticket = self
            .tickets
            .get_mut(&id)
            .expect("only tickets that exist are assigned");
        let cost = self.config.cost.of(estimate);
        let deadline = self.now + self.config.cost.patience();
        ticket.place = Place::Queue {
            worker: slot,
            estimate,
            deadline,
        };
        ticket.refund = None;
        let (turn, hint) = (ticket.turn(id), ticket.hint.clone());
        self.deadlines.insert((deadline, id));
        self.given += 1;
        let given = self.given;
        self.workers.update(slot, |worker| {
            worker.queue.insert(turn);
            worker.workload += cost;
            worker.given = given;
        });
        // Already now, so that tickets with the same hint follow this one.
        self.remember_cached(&hint, slot);
        self.wake(slot);
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
        let Place::Queue {
            estimate, deadline, ..
        } = ticket.place
        else {
            return;
        };
        let (turn, cost) = (ticket.turn(id), self.config.cost.of(estimate));
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
            match (&mut self.main, self.tickets.get_mut(&id)) {
                (Main::Backlog(backlog), Some(ticket)) => {
                    ticket.place = Place::Backlog;
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
            && let Main::Ready(ready) = &self.main
            && let Some(to) = ready.oldest()
            && let Some(Place::Queue { worker: from, .. }) = self.tickets.get(&id).map(|t| t.place)
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
    /// Has a worker's pops looked at again at the next `poll_effect`.
    pub(crate) fn wake(&mut self, slot: Slot) {
        let asleep = self.workers.update(slot, |worker| {
            !worker.pops.is_empty() && !mem::replace(&mut worker.woken, true)
        });
        if asleep == Some(true) {
            self.woken.push_back(slot);
        }
    }

    pub(crate) fn serve_woken(&mut self, slot: Slot) {
        let woken = self
            .workers
            .update(slot, |worker| mem::take(&mut worker.woken));
        if woken == Some(true) {
            self.serve(slot);
        }
    }

    /// Answers as many of a worker's pops as there are tickets for.
    pub(crate) fn serve(&mut self, slot: Slot) {
        let mut diversions = 0;
        while let Some(worker) = self.workers.get(slot)
            && worker.is_active()
            && !worker.pops.is_empty()
        {
            let is_wanted = !worker.queue.is_empty() || self.main.has_backlog();
            if worker.asked || (is_wanted && self.is_in_doubt(worker)) {
                return self.ask(slot);
            }
            if let Some(turn) = worker.queue.first() {
                self.leave_queue(turn.ticket(), slot);
                let hint = self.take(turn.ticket(), slot);
                let worker = self.workers.name(slot);
                self.decided(Decision::TakenFromQueue {
                    ticket: turn.ticket(),
                    hint,
                    worker,
                });
                continue;
            }
            let next = match &mut self.main {
                Main::Ready(_) => return self.wait(slot),
                Main::Backlog(backlog) => backlog.first(),
            };
            let Some(turn) = next else {
                self.main = Main::Ready(ReadyList::default());
                continue;
            };
            self.main.leave_backlog(turn);
            if diversions < DIVERSIONS && self.assign_preferred(turn.ticket(), None) {
                diversions += 1;
                continue;
            }
            let hint = self.take(turn.ticket(), slot);
            let worker = self.workers.name(slot);
            self.decided(Decision::TakenFromBacklog {
                ticket: turn.ticket(),
                hint,
                worker,
            });
        }
    }

    /// Tells whether a worker has been silent for so long that it may not be there.
    pub(crate) fn is_in_doubt(&self, worker: &Worker) -> bool {
        self.config
            .trust
            .is_some_and(|trust| worker.heard + trust < self.now)
    }

    /// Has a worker asked whether it is there. Until it answers it takes nothing, and others go first.
    fn ask(&mut self, slot: Slot) {
        let was_asked = self
            .workers
            .update(slot, |worker| mem::replace(&mut worker.asked, true));
        self.leave_ready(slot);
        if let (Some(false), Some(worker)) = (was_asked, self.workers.id(slot)) {
            self.effects.push_back(Effect::Ask { worker });
        }
    }

    /// Delivers a ticket that is nowhere to the worker's oldest pop. Returns its hint.
    fn take(&mut self, id: TicketId, slot: Slot) -> CacheHint {
        let ticket = self
            .tickets
            .get_mut(&id)
            .expect("only tickets that exist are taken");
        ticket.place = Place::Running { worker: slot };
        ticket.refund = None;
        let hint = ticket.hint.clone();
        self.clients.dequeue(&ticket.client, id, ticket.urgent);
        self.affinity.dequeue(&hint);
        self.remember_cached(&hint, slot);
        self.given += 1;
        let given = self.given;
        let pop = self.workers.update(slot, |worker| {
            worker.running.insert(id);
            worker.given = given;
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

    /// Adds a worker to the back of the ready list, if there is one and it isn't there.
    fn join_ready(&mut self, slot: Slot) -> bool {
        let Main::Ready(ready) = &mut self.main else {
            return false;
        };
        let joined = self.workers.update(slot, |worker| match worker.waiting {
            Some(_) => false,
            None => {
                worker.waiting = Some(ready.push(slot));
                true
            }
        });
        joined == Some(true)
    }

    fn leave_ready(&mut self, slot: Slot) -> bool {
        let since = self
            .workers
            .update(slot, |worker| worker.waiting.take())
            .flatten();
        if let (Main::Ready(ready), Some(since)) = (&mut self.main, since) {
            ready.remove(since);
        }
        since.is_some()
    }

    /// Takes a worker out of the ready list unless it still wants more than it has queued.
    pub(crate) fn settle_waiting(&mut self, slot: Slot) {
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
            worker.asked = false;
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
            self.wake(slot);
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

/// Telling the caller.
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

    fn remember_cached(&mut self, hint: &CacheHint, slot: Slot) {
        if self.affinity.remember(hint, slot) && !hint.is_none() {
            let worker = self.workers.name(slot);
            self.effects.push_back(Effect::SaveCached {
                hint: hint.clone(),
                worker,
            });
        }
    }
}
