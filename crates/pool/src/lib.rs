//! Decides which worker does which job next.
//!
//! A [`Pool`] is a plain value. It performs no IO, never blocks, and never reads a clock: callers
//! report events and the time, then drain [`Pool::poll_effect`] for what they must do. It does not
//! know what a job is either: it has ticket ids, hints and costs.
//!
//! ```
//! use pool::{Capacity, ClientId, Effect, InactiveReason, Pool, Time, WorkerName};
//!
//! let mut pool = Pool::default();
//! let worker = pool.register(WorkerName::new("w1")?, Capacity::new(1))?;
//! pool.set_active(worker, InactiveReason::WorkerPause, true)?;
//! let pop = pool.pop(worker)?;
//!
//! let ticket = pool.submit(Time::EPOCH, &ClientId::new("alice")?, "git/ocaml", false);
//! let delivered = core::iter::from_fn(|| pool.poll_effect())
//!     .any(|e| matches!(e, Effect::Deliver { pop: p, ticket: t, .. } if p == pop && t == ticket));
//! assert!(delivered);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How a ticket finds its worker
//!
//! A submitted ticket gets a *fair start time*: when it would start if each client had exactly its
//! share. Then ([`assign`](self)):
//!
//! - while no worker waits it goes to the *backlog*, in order of urgency and fair start time;
//! - else to its *preferred worker*: one that has its hint cached and not too long a queue of its
//!   own, busy or not;
//! - else to the worker that has waited longest.
//!
//! A worker that pops gets the best of its own queue, else the best of the backlog that no other worker is
//! preferred for, else it waits. A ticket rests in a worker's queue until `poll_effect` hands it over,
//! so that a cancel before that finds it there.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod affinity;
mod assign;
mod backlog;
mod chance;
mod check;
mod decision;
mod effect;
mod errors;
mod explain;
mod forecast;
mod hint;
mod ids;
mod learning;
mod outlook;
mod questions;
mod ready;
mod reasons;
mod scale;
mod share;
mod show;
mod snapshot;
mod stats;
mod ticket;
mod time;
mod times;
mod window;
mod worker;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use affinity::Affinity;
use assign::Waiting;
pub use decision::Decision;
pub use effect::Effect;
pub use errors::{Disconnected, ForgetError, NameTaken, UnknownWorker};
pub use explain::{Ahead, ChosenFacts, PassedFacts, TicketFacts, WaitFacts, WorkerFacts};
pub use forecast::Forecast;
pub use hint::CacheHint;
use ids::Slot;
pub use ids::{PopId, TicketId, WorkerId};
pub use learning::{JobEnd, PastJob};
pub use outlook::Outlook;
pub use questions::WorkerInfo;
pub use reasons::{InactiveReason, InactiveReasons};
use share::Clients;
pub use share::{Cost, Estimate, Rate, RateError};
pub use snapshot::{
    ClientView, DisconnectedView, Item, Items, RunningView, Snapshot, WaitingView, WorkerView,
};
pub use stats::{ByPriority, ClientStats, Stats, WorkerStats};
pub use ticket::Place;
use ticket::{Location, Ticket};
pub use time::Time;
use times::Times;
pub use visible::{ClientId, NameError, WorkerName};
use worker::{ExpectedRun, Workers};

/// The configuration of a pool.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What jobs are expected to cost.
    pub cost: Cost,
    /// How long a worker may be silent before it is probed instead of being assigned a job; `None`
    /// for no limit.
    pub probe_after: Option<Duration>,
}

/// What was saved before the pool is made, as its effects asked.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The rates that were set.
    pub rates: BTreeMap<ClientId, Rate>,
    /// The known workers, and whether an admin has paused each.
    pub workers: BTreeMap<WorkerName, bool>,
    /// Which worker has which hint cached. Rows of unknown workers are ignored, as are rows
    /// of the empty hint: upstream leaves both behind.
    pub cached: Vec<(CacheHint, WorkerName)>,
}

/// How many jobs a worker runs at once, as it reports. Advisory: used only for totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity(u32);

impl Capacity {
    /// Returns the capacity of `jobs` at once.
    pub const fn new(jobs: u32) -> Self {
        Self(jobs)
    }

    /// Returns the capacity that a worker has announced as `jobs`.
    ///
    /// A negative number counts as 0, which is also what workers without capacities report: a
    /// worker with a wrong number can still work, and must not lower the pool's total.
    pub fn announced(jobs: i32) -> Self {
        Self(u32::try_from(jobs).unwrap_or(0))
    }

    /// Returns the number of jobs.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// The result of an attempt to cancel a ticket.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It was queued, and is removed: break its promise.
    Cancelled,
    /// It is not queued: a worker has taken it (so cancel the job), or it has ended.
    NotQueued,
}

/// Totals since the pool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    submitted: u64,
    cancelled: u64,
    accepted: u64,
    adopted: u64,
}

/// A named set of workers that can do the same kind of job, with one backlog.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    config: Config,
    /// The latest time that was reported.
    now: Time,
    waiting: Waiting,
    tickets: BTreeMap<TicketId, Ticket>,
    workers: Workers,
    /// The outstanding pops, and who made them.
    pops: BTreeMap<PopId, Slot>,
    clients: Clients,
    affinity: Affinity,
    times: Times,
    /// The tickets in workers' queues, by when each has waited long enough for its worker.
    deadlines: BTreeSet<(Time, TicketId)>,
    /// Workers to be served at the next `poll_effect`. May hold some that have left since.
    scheduled: VecDeque<Slot>,
    effects: VecDeque<Effect>,
    totals: Totals,
    last_ticket: u64,
    last_pop: u64,
    /// Numbers assignments: how many times a ticket was assigned to a worker or taken by one.
    assignment_seq: u64,
}

/// Making a pool, and what to do next.
impl Pool {
    /// Returns a pool with no connected workers and an empty backlog.
    pub fn new(config: Config, remembered: Remembered) -> Self {
        let Remembered {
            rates,
            workers,
            cached,
        } = remembered;
        let mut pool = Self {
            config,
            clients: Clients::new(rates),
            ..Self::default()
        };
        for (name, paused) in workers {
            pool.workers.add(name, paused);
        }
        for (hint, worker) in cached {
            if let Some(worker) = pool.workers.find(&worker)
                && !hint.is_none()
            {
                pool.affinity.remember(&hint, worker, &pool.times);
            }
        }
        pool
    }

    /// Returns the next thing the caller must do, or `None` when there is nothing.
    ///
    /// Call until `None` after reporting any event. Here a waiting worker takes the ticket that was
    /// assigned to it.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            let scheduled = self.scheduled.pop_front()?;
            self.serve_scheduled(scheduled);
        }
    }

    /// Reports the time, so that tickets which have waited long enough for a busy worker that has their
    /// hint cached (the time its cache would save) move to workers that are free.
    ///
    /// A time before the latest one is ignored.
    pub fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some(scheduled) = self.scheduled.pop_front() {
            self.serve_scheduled(scheduled);
        }
        self.move_overdue();
    }

    /// Returns when to call [`advance`](Self::advance) next; may be in the past. Ask again after
    /// anything else has happened and its effects are drained.
    pub fn next_deadline(&self) -> Option<Time> {
        let (deadline, _) = self.deadlines.first()?;
        self.waiting.has_ready_worker().then_some(*deadline)
    }
}

/// What clients do.
impl Pool {
    /// A client submits a job.
    ///
    /// Jobs with the same `hint` like the same worker; the empty hint likes none. Urgent tickets go
    /// before all that are not, whatever their client's share.
    pub fn submit(&mut self, now: Time, client: &ClientId, hint: &str, urgent: bool) -> TicketId {
        self.queue(now, client, hint, urgent, None)
    }

    /// A job is queued again, in the place that it had: after a restart, or because its worker was lost.
    ///
    /// Its client is charged for it only as far as this pool has not done so before. Of jobs with equal places, the
    /// one that is queued first goes first.
    pub fn submit_again(
        &mut self,
        now: Time,
        client: &ClientId,
        hint: &str,
        urgent: bool,
        place: Place,
    ) -> TicketId {
        self.queue(now, client, hint, urgent, Some(place))
    }

    fn queue(
        &mut self,
        now: Time,
        client: &ClientId,
        hint: &str,
        urgent: bool,
        place: Option<Place>,
    ) -> TicketId {
        self.now = self.now.max(now);
        self.last_ticket += 1;
        let id = TicketId(self.last_ticket);
        let (hint, estimate, known) = self.affinity.queue(hint, &self.times);
        let (times, guess, rule) = (&self.times, &self.config.cost, self.rule());
        let cost = |client| times.costs(known, || client, guess).of(estimate);
        let charge = match place {
            None => self
                .clients
                .charge(client, (self.now, rule), cost, id, urgent),
            Some(Place { fair_start, .. }) => {
                self.clients
                    .charge_again(client, (fair_start, rule), cost, id, urgent)
            }
        };
        let ticket = Ticket {
            client: charge.client,
            hint,
            fair_start: charge.fair_start,
            charge: Some(charge.duration),
            was_assigned: place.is_some_and(|place| place.was_assigned),
            is_warm: false,
            urgent,
            location: Location::BACKLOG,
        };
        self.tickets.insert(id, ticket);
        self.totals.submitted += 1;
        self.add(id, None);
        id
    }

    /// A client cancels a ticket.
    ///
    /// Its client gets back what it was charged, unless the ticket was ever assigned to a worker: by then
    /// others have been placed around it.
    pub fn cancel(&mut self, id: TicketId) -> Cancel {
        let Some(ticket) = self.tickets.get(&id) else {
            return Cancel::NotQueued;
        };
        let turn = ticket.turn(id);
        match ticket.location {
            Location::Running { .. } => return Cancel::NotQueued,
            Location::Backlog { .. } => self.waiting.leave_backlog(turn),
            Location::Queue { worker, .. } => self.leave_queue(id, worker),
        }
        if let Some(ticket) = self.tickets.remove(&id) {
            self.clients.dequeue(&ticket.client, id, ticket.urgent);
            if let Some(charge) = ticket.charge.filter(|_| !ticket.was_assigned) {
                self.clients.refund(&ticket.client, charge, self.rule());
            }
            self.affinity.dequeue(&ticket.hint);
            self.totals.cancelled += 1;
            self.decided(Decision::Cancelled {
                ticket: id,
                hint: ticket.hint,
            });
        }
        Cancel::Cancelled
    }

    /// A client's rate was set.
    ///
    /// Counts from its next submission; tickets that are queued keep their turns.
    pub fn set_rate(&mut self, client: &ClientId, rate: Rate) {
        self.clients.set_rate(client, rate);
        self.effects.push_back(Effect::SaveRate {
            client: client.clone(),
            rate,
        });
    }

    /// A client was removed.
    ///
    /// Returns its queued tickets, which are cancelled: break their promises. The jobs that workers
    /// have taken go on. Its rate is forgotten here; on disk it goes with the client.
    #[must_use = "clients wait for these tickets"]
    pub fn remove_client(&mut self, client: &ClientId) -> Vec<TicketId> {
        let queued = self.clients.remove(client);
        queued
            .into_iter()
            .filter(|id| self.cancel(*id) == Cancel::Cancelled)
            .collect()
    }
}

/// What workers do.
impl Pool {
    /// A worker connected.
    ///
    /// It starts as paused by itself (and by an admin, if it was when it left), and is saved if it is
    /// new.
    ///
    /// # Errors
    ///
    /// [`NameTaken`] if a worker of this name is connected.
    pub fn register(
        &mut self,
        name: WorkerName,
        capacity: Capacity,
    ) -> Result<WorkerId, NameTaken> {
        let slot = match self.workers.find(&name) {
            Some(slot) if self.workers.get(slot).is_some() => return Err(NameTaken),
            Some(slot) => slot,
            None => {
                self.effects.push_back(Effect::SavePaused {
                    worker: name.clone(),
                    paused: false,
                });
                self.workers.add(name.clone(), false)
            }
        };
        let id = self.workers.connect(slot, capacity.0, self.now);
        self.decided(Decision::Registered { worker: name });
        Ok(id)
    }

    /// Something arrived from a worker.
    ///
    /// It counts as answering again. If it was probed, it gets what waited for the
    /// answer.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] if the registration has ended.
    pub fn heard_from(&mut self, worker: WorkerId, now: Time) -> Result<(), Disconnected> {
        let slot = self.workers.resolve(worker).ok_or(Disconnected)?;
        self.now = self.now.max(now);
        let now = self.now;
        let was_awaiting_reply = self.workers.update(slot, |worker| {
            worker.last_heard = now;
            mem::take(&mut worker.awaiting_reply)
        });
        if was_awaiting_reply == Some(true) {
            self.schedule(slot);
        }
        self.remove_reason(slot, InactiveReason::NotAnswering);
        Ok(())
    }

    /// A worker asks for one job. It may ask for several.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] if the registration has ended.
    pub fn pop(&mut self, worker: WorkerId) -> Result<PopId, Disconnected> {
        let slot = self.workers.resolve(worker).ok_or(Disconnected)?;
        self.last_pop += 1;
        let pop = PopId(self.last_pop);
        self.pops.insert(pop, slot);
        self.workers.update(slot, |worker| worker.pops.insert(pop));
        self.serve(slot);
        Ok(pop)
    }

    /// The caller of this pop has disconnected or given up; returns whether the pop was outstanding.
    ///
    /// Tickets that rest in the worker's queue stay there while it has other pops, which will take
    /// them. With the last pop they go elsewhere, as if the worker had not been there.
    pub fn cancel_pop(&mut self, pop: PopId) -> bool {
        let Some(slot) = self.pops.remove(&pop) else {
            return false;
        };
        let gone = self.workers.update(slot, |worker| {
            worker.pops.remove(&pop);
            worker.pops.is_empty()
        });
        self.leave_ready_if_satisfied(slot);
        if gone == Some(true) {
            self.push_back(slot, Some(slot));
        }
        true
    }

    /// A worker has returned with a job that it took in an earlier registration. It counts as running until
    /// [`job_finished`](Self::job_finished).
    ///
    /// # Errors
    ///
    /// [`Disconnected`] if the registration has ended.
    pub fn adopt(
        &mut self,
        worker: WorkerId,
        client: &ClientId,
        hint: &CacheHint,
        urgent: bool,
    ) -> Result<TicketId, Disconnected> {
        let slot = self.workers.resolve(worker).ok_or(Disconnected)?;
        self.last_ticket += 1;
        self.totals.adopted += 1;
        let id = TicketId(self.last_ticket);
        let ticket = Ticket {
            client: client.clone(),
            hint: hint.clone(),
            fair_start: self.now,
            charge: None,
            was_assigned: true,
            is_warm: self.affinity.is_cached(hint, slot),
            urgent,
            location: Location::Running {
                worker: slot,
                since: None,
            },
        };
        self.tickets.insert(id, ticket);
        let (since, end) = (self.now, self.now + self.cost_of_running(id));
        self.workers.update(slot, |worker| {
            worker.running.insert(id, ExpectedRun { since, end })
        });
        self.running_changed(slot);
        Ok(id)
    }

    /// Removes (`active`) or adds (not `active`) a reason for a worker to be inactive.
    ///
    /// With the first reason, the worker's queue goes back to the others. Its pops stay, and are
    /// answered once there is no reason left.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] if the registration has ended.
    pub fn set_active(
        &mut self,
        worker: WorkerId,
        reason: InactiveReason,
        active: bool,
    ) -> Result<(), Disconnected> {
        let slot = self.workers.resolve(worker).ok_or(Disconnected)?;
        if reason == InactiveReason::AdminPause {
            self.save_paused(slot, !active);
        }
        if active {
            self.remove_reason(slot, reason);
        } else {
            self.add_reason(slot, reason);
        }
        Ok(())
    }

    /// An admin pauses or unpauses a worker by name, connected or not.
    ///
    /// Unpausing ends a temporary pause too, so that the worker gets jobs. With `auto_create` a worker that
    /// has never been seen is made known, so that it will be paused when it comes.
    ///
    /// # Errors
    ///
    /// [`UnknownWorker`] if there is no such worker and `auto_create` is not set.
    pub fn set_paused(
        &mut self,
        name: &WorkerName,
        paused: bool,
        auto_create: bool,
    ) -> Result<(), UnknownWorker> {
        let slot = match self.workers.find(name) {
            Some(slot) => slot,
            None if auto_create => self.workers.add(name.clone(), paused),
            None => return Err(UnknownWorker),
        };
        match self.workers.id(slot) {
            Some(id) => {
                // It is connected, as was checked above.
                let _: Result<(), Disconnected> =
                    self.set_active(id, InactiveReason::AdminPause, !paused);
                if !paused {
                    let _: Result<(), Disconnected> =
                        self.set_active(id, InactiveReason::TemporaryPause, true);
                }
            }
            None => self.save_paused(slot, paused),
        }
        Ok(())
    }

    /// A worker disconnected. Nothing happens if its registration has ended before.
    ///
    /// Its queue goes back to the others, its pops fail, and its running jobs are not counted any more.
    pub fn release(&mut self, worker: WorkerId) {
        let Some(slot) = self.workers.resolve(worker) else {
            return;
        };
        self.add_reason(slot, InactiveReason::WorkerPause);
        let Some(worker) = self.workers.disconnect(slot) else {
            return;
        };
        for pop in worker.pops {
            self.pops.remove(&pop);
            self.effects.push_back(Effect::PopFailed { pop });
        }
        for ticket in worker.running.keys() {
            self.tickets.remove(ticket);
        }
        if !worker.running.is_empty() {
            self.running_changed(slot);
        }
        let worker = self.workers.name(slot);
        self.decided(Decision::Released { worker });
    }

    /// An admin forgets a disconnected worker, with all that it has cached.
    ///
    /// # Errors
    ///
    /// [`ForgetError`] if the worker is unknown or connected.
    pub fn forget(&mut self, name: &WorkerName) -> Result<(), ForgetError> {
        let slot = self
            .workers
            .find(name)
            .ok_or_else(|| ForgetError::UnknownWorker {
                worker: name.clone(),
            })?;
        if self.workers.get(slot).is_some() {
            return Err(ForgetError::StillConnected {
                worker: name.clone(),
            });
        }
        self.affinity.forget(slot);
        self.workers.forget(slot);
        self.effects.push_back(Effect::ForgetWorker {
            worker: name.clone(),
        });
        Ok(())
    }
}
