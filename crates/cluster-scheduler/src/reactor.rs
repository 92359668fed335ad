//! One pool, and everything that is done because of it.
//!
//! The services tell the reactor what happened; it tells the pool (which decides) and performs the
//! effects the pool asks for. It is the only caller of `poll_effect`.
//!
//! Two rules keep this safe to call from anywhere:
//!
//! - **Nothing foreign is called or dropped while the state is borrowed.** Dropping a capability may
//!   drop the last reference to one of our own services, which comes back here.
//! - **What is released inside the RPC system is only noted there** ([`Departed`]), and acted upon a
//!   moment later from the reactor's own task. That is also where a client that leaves a hundred
//!   thousand queued jobs behind is cleared away in pieces.

mod cancel;
mod notes;
mod pauses;
mod pulse;
mod takeover;
mod versions;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use cluster_api::{PauseReason, PoolDetails, PoolOverview, RpcError, Worker};
use pool::{
    Capacity, ClientId, Decision, Disconnected, Effect, ForgetError, InactiveReason, NameTaken,
    Pool, PopId, Rate, Stats, TicketId, Time, WorkerId, WorkerInfo, WorkerName,
};
use tokio::sync::{Notify, watch};
use vat::Peer;
use visible::OneLine;

use crate::clock::Clock;
use crate::config::PoolName;
use crate::db::{Ack, WriteError, Writer};
use crate::details;
use crate::hints;
use crate::metrics::{History, JobEnd, PoolReport};
use crate::obstacle;
use crate::overview;
use crate::pauses::Pauses;
use crate::roster::Roster;
use crate::standings::{PLACES, Standing, Standings};
use crate::tickets::{Assignment, PendingPop, Request, Tickets};

pub(crate) use self::pulse::TRUST;

/// How many tickets are cleared away before others get their turn: about 1 ms of work.
const PIECE: usize = 200;

/// Why the job of a ticket that was let go of will not come.
const RELEASED: &str = "Ticket released (cancelled)";

/// Why the queued jobs of a client that was removed will not come.
const REMOVED: &str = "Client removed (cancelled)";

pub(crate) struct Reactor {
    this: Weak<Self>,
    name: PoolName,
    clock: Clock,
    db: Rc<Writer>,
    state: RefCell<State>,
    departed: RefCell<Departed>,
    /// When the pool next wants to be told the time.
    deadline: Cell<Option<Time>>,
    /// Wakes the reactor's task: somebody departed, or the deadline has moved.
    wake: Notify,
    /// Told whenever a worker comes, goes, or runs more or fewer jobs.
    workers_changed: watch::Sender<()>,
    /// Whether nothing is given to workers any more.
    is_holding: Cell<bool>,
}

struct State {
    pool: Pool,
    tickets: Tickets,
    /// Who waits for each pop's answer.
    pops: HashMap<PopId, PendingPop>,
    workers: Roster,
    standings: Standings,
    history: History,
    pauses: Pauses,
}

impl State {
    fn standing(&mut self, pool: &PoolName, ticket: TicketId, now: Time) -> Standing {
        if !self.standings.are_fresh(now) {
            let snapshot = self.pool.snapshot(now, PLACES);
            let details = details::of_pool(now, &snapshot, &self.workers, &self.tickets);
            self.standings = Standings::take(now, &snapshot, obstacle::of(pool, &details));
        }
        self.standings.of(ticket)
    }

    fn start(
        &mut self,
        now: Time,
        ticket: TicketId,
        worker: WorkerId,
        name: WorkerName,
    ) -> Option<Request> {
        let nth = self.workers.job_given(worker);
        let (request, since) = self.tickets.start(now, ticket, worker, nth, name)?;
        self.history.waited.add(now.secs_after(since));
        Some(request)
    }
}

/// Who has left, and has not been cleared away.
#[derive(Default)]
struct Departed {
    workers: Vec<WorkerId>,
    tickets: VecDeque<TicketId>,
}

/// What became of an attempt to cancel a ticket.
#[must_use]
pub(crate) enum Cancelled {
    /// It was queued, and its job promise is broken now.
    Queued,
    /// A worker has its job, or it has ended.
    NotQueued,
}

/// How far a ticket has come.
pub(crate) enum TicketState {
    Queued(Standing),
    Running(WorkerName),
    Ended,
}

/// Writes on their way to the disk. Nobody has to wait for them.
#[derive(Default)]
pub(crate) struct Saving(Vec<Ack>);

impl Saving {
    /// Waits until all of them are on disk.
    pub(crate) async fn durable(self) -> Result<(), WriteError> {
        for ack in self.0 {
            ack.await?;
        }
        Ok(())
    }
}

impl Reactor {
    pub(crate) fn new(
        name: PoolName,
        pool: Pool,
        pauses: Pauses,
        clock: Clock,
        db: Rc<Writer>,
    ) -> Rc<Self> {
        let state = State {
            pool,
            tickets: Tickets::default(),
            pops: HashMap::new(),
            workers: Roster::default(),
            standings: Standings::default(),
            history: History::default(),
            pauses,
        };
        Rc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            name,
            clock,
            db,
            state: RefCell::new(state),
            departed: RefCell::default(),
            deadline: Cell::new(None),
            wake: Notify::new(),
            workers_changed: watch::Sender::new(()),
            is_holding: Cell::new(false),
        })
    }

    /// Tells the pool the time when it wants to know, and clears away who has left. Never ends.
    pub(crate) async fn run(self: Rc<Self>) {
        loop {
            self.clear_departed().await;
            match self.deadline.get() {
                None => self.wake.notified().await,
                Some(deadline) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(self.clock.until(deadline)) => {
                        self.tell(|state, now| state.pool.advance(now));
                    }
                },
            }
        }
    }

    async fn clear_departed(&self) {
        loop {
            self.release_departed_workers();
            let mut left = PIECE;
            while left > 0
                && let Some(ticket) = self.next_departed_ticket()
            {
                let (Cancelled::Queued | Cancelled::NotQueued) = self.cancel(ticket, RELEASED);
                left -= 1;
            }
            if left > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn next_departed_ticket(&self) -> Option<TicketId> {
        self.departed.borrow_mut().tickets.pop_front()
    }

    fn release_departed_workers(&self) {
        let departed = std::mem::take(&mut self.departed.borrow_mut().workers);
        for id in departed {
            self.release(id);
        }
    }

    /// Ends a registration, unless it has ended before.
    fn release(&self, id: WorkerId) {
        let (_registered, _) = self.tell(|state, now| {
            state.pool.release(id);
            state.pauses.end_registration(id);
            state.workers.remove(now, id)
        });
    }
}

/// What clients do.
impl Reactor {
    /// A client wants a job done.
    pub(crate) fn submit(&self, request: Request, urgent: bool) -> TicketId {
        let client = request.client.to_string();
        let ticket = self.note(|state, now| {
            let hint = hints::key(request.description.cache_hint());
            let ticket = state.pool.submit(now, &request.client, &hint, urgent);
            state.tickets.insert(now, ticket, request);
            ticket
        });
        tracing::info!(
            target: "scheduler",
            ticket = %self.full_name(ticket), %client,
            "Received new job request from {client:?} (urgent={urgent})"
        );
        self.perform();
        ticket
    }

    /// A client wants a job done no more. If it is still queued, its promise breaks with `reason`.
    pub(crate) fn cancel(&self, ticket: TicketId, reason: &str) -> Cancelled {
        let (cancel, _) = self.tell(|state, _| state.pool.cancel(ticket));
        match cancel {
            pool::Cancel::Cancelled => {
                self.break_promise(ticket, RpcError::failed(reason));
                Cancelled::Queued
            }
            pool::Cancel::NotQueued => Cancelled::NotQueued,
        }
    }

    /// The last reference to a ticket has gone. Safe to call from inside the RPC system.
    pub(crate) fn ticket_released(&self, ticket: TicketId) {
        // Most tickets are let go of when their jobs have ended, and need nothing more.
        if self.state.borrow().tickets.is_queued(ticket) {
            self.departed.borrow_mut().tickets.push_back(ticket);
            self.wake.notify_one();
        }
    }

    /// A client was removed: its queued jobs are cancelled, and those that run go on.
    ///
    /// Goes through the queue in pieces, so the client must be unable to submit by now.
    pub(crate) async fn remove_client(&self, client: &ClientId) {
        let mut last = None;
        while let Some((theirs, seen)) = self.next_tickets_of(client, last) {
            for ticket in theirs {
                let (Cancelled::Queued | Cancelled::NotQueued) = self.cancel(ticket, REMOVED);
            }
            last = Some(seen);
            tokio::task::yield_now().await;
        }
        let (left, _) = self.tell(|state, _| state.pool.remove_client(client));
        for ticket in left {
            self.break_promise(ticket, RpcError::failed(REMOVED));
        }
    }

    /// The scheduler is to end: nothing is given to a worker any more. Returns how many jobs are queued.
    ///
    /// Their clients are not told. An error, while their connections last, would be the end of their jobs; when a connection
    /// closes, they know that it was nobody's fault, and those that submit again do. Calls for jobs wait until then, too: a
    /// worker whose call fails gives up what it is running.
    pub(crate) fn hold_queued(&self) -> usize {
        self.is_holding.set(true);
        let (queued, _) = self.tell(
            |State {
                 pool,
                 pops,
                 tickets,
                 ..
             },
             _| {
                for pop in pops.keys() {
                    pool.cancel_pop(*pop);
                }
                tickets.count_queued()
            },
        );
        queued
    }

    /// Tells whether nothing is given to workers any more.
    pub(crate) fn is_holding(&self) -> bool {
        self.is_holding.get()
    }

    fn next_tickets_of(
        &self,
        client: &ClientId,
        last: Option<TicketId>,
    ) -> Option<(Vec<TicketId>, TicketId)> {
        self.state.borrow().tickets.next_of(client, last, PIECE)
    }

    pub(crate) fn set_rate(&self, client: &ClientId, rate: Rate) -> Saving {
        self.tell(|state, _| state.pool.set_rate(client, rate)).1
    }

    pub(crate) fn ticket_state(&self, ticket: TicketId) -> TicketState {
        let mut state = self.state.borrow_mut();
        if state.tickets.is_queued(ticket) {
            TicketState::Queued(state.standing(&self.name, ticket, self.clock.now()))
        } else {
            let running = state.tickets.running(ticket);
            running.map_or(TicketState::Ended, |running| {
                TicketState::Running(running.name.clone())
            })
        }
    }

    fn break_promise(&self, ticket: TicketId, error: RpcError) {
        let request = self.state.borrow_mut().tickets.cancel(ticket);
        if let Some(request) = request {
            request.job.fail(error);
        }
    }
}

/// What workers do.
impl Reactor {
    /// A worker connected. It is active, unless an admin paused it.
    pub(crate) fn register(
        &self,
        name: WorkerName,
        capacity: Capacity,
        worker: Worker,
        peer: Peer,
    ) -> Result<WorkerId, NameTaken> {
        // It may be the same worker, whose old connection broke only just now.
        self.release_departed_workers();
        let (id, _) = self.tell(|state, now| {
            let was_known = state.pool.worker(&name).is_some();
            let id = state.pool.register(name.clone(), capacity)?;
            state.history.registered(was_known);
            state.workers.insert(now, id, name, worker, peer);
            // It was registered just now.
            let _: Result<(), Disconnected> = state.pool.heard(id, now);
            let _: Result<(), Disconnected> =
                state.pool.set_active(id, InactiveReason::WorkerPause, true);
            Ok(id)
        });
        if let (Ok(id), Some(reactor)) = (id, self.this.upgrade()) {
            reactor.ask_version(id);
            reactor.watch(id);
        }
        id
    }

    /// Returns how many workers are registered through `peer`.
    pub(crate) fn count_registrations(&self, peer: &Peer) -> usize {
        self.state.borrow().workers.count_of(peer)
    }

    /// Tells whether a worker of this name is known, connected or not, or there is room for one more among `most`.
    pub(crate) fn has_room_for(&self, name: &WorkerName, most: usize) -> bool {
        let state = self.state.borrow();
        state.pool.worker(name).is_some() || state.pool.count_workers() < most
    }

    /// A worker disconnected. Safe to call from inside the RPC system.
    pub(crate) fn worker_released(&self, id: WorkerId) {
        self.departed.borrow_mut().workers.push(id);
        self.wake.notify_one();
    }

    /// A worker asks for one job.
    pub(crate) fn pop(&self, worker: WorkerId, pop: PendingPop) -> Result<PopId, Disconnected> {
        let (id, _) = self.tell(|state, now| {
            state.heard(worker, now);
            let id = state.pool.pop(worker)?;
            state.pops.insert(id, pop);
            Ok(id)
        });
        id
    }

    /// Whoever made this pop has gone. Nothing happens if it was answered before.
    pub(crate) fn cancel_pop(&self, pop: PopId) {
        let (_pending, _) = self.tell(|state, _| {
            state.pool.cancel_pop(pop);
            state.pops.remove(&pop)
        });
    }

    pub(crate) fn job_finished(&self, ticket: TicketId, end: JobEnd) {
        let ended = self.note(|state, now| {
            let running = state.tickets.finish(ticket);
            let ended = running.map(|running| {
                let time = now.secs_after(running.since);
                state.history.job_ended(end, time);
                state.workers.job_ended(running.worker);
                (running.name, time)
            });
            state.pool.job_finished(ticket);
            ended
        });
        if let Some((worker, time)) = ended {
            tracing::info!(
                target: "scheduler",
                ticket = %self.full_name(ticket), worker = %worker,
                "Job {end} after {time:.1} s"
            );
        }
        self.perform();
    }

    /// A worker says why it pauses itself. Nothing happens if it has left.
    pub(crate) fn set_pause_reasons(&self, worker: WorkerId, reasons: Vec<PauseReason>) {
        let mut state = self.state.borrow_mut();
        let Some(registered) = state.workers.get_mut(worker) else {
            return;
        };
        for reason in &reasons {
            let is_news = registered
                .pause_reasons
                .iter()
                .all(|known| known.kind != reason.kind);
            if is_news {
                tracing::info!(
                    target: "scheduler",
                    worker = %registered.name, kind = %OneLine(&reason.kind),
                    "Worker \"{}\" takes no jobs: {}", registered.name, OneLine(&reason.problem)
                );
            }
        }
        registered.pause_reasons = reasons;
    }

    /// A reason for a worker to be inactive has gone or come.
    pub(crate) fn set_active(
        &self,
        worker: WorkerId,
        reason: InactiveReason,
        active: bool,
    ) -> Result<(), Disconnected> {
        self.tell(|state, _| state.pool.set_active(worker, reason, active))
            .0
    }
}

/// What admins do.
impl Reactor {
    pub(crate) fn forget(&self, worker: &WorkerName) -> Result<Saving, ForgetError> {
        let (result, saving) = self.tell(|state, _| {
            state.pool.forget(worker)?;
            state.workers.forget(worker);
            state.pauses.end(worker, None);
            Ok(())
        });
        result.map(|()| saving)
    }

    pub(crate) fn show(&self) -> String {
        let now = self.clock.now();
        let more = details::Text(&self.details()).to_string();
        self.state.borrow().pool.show(now) + &more
    }

    pub(crate) fn workers(&self) -> Vec<WorkerInfo> {
        self.state.borrow().pool.workers()
    }

    /// Returns what an operator may want to know of the pool and its workers, as data.
    pub(crate) fn details(&self) -> PoolDetails {
        let state = self.state.borrow();
        let now = self.clock.now();
        let snapshot = state.pool.snapshot(now, 0);
        details::of_pool(now, &snapshot, &state.workers, &state.tickets)
    }

    /// Returns the pool as an operator reads it, with at most `most` jobs of each queue.
    pub(crate) fn overview(&self, most: u32) -> PoolOverview {
        let state = self.state.borrow();
        let most = usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(overview::MOST);
        let sources = overview::Sources {
            roster: &state.workers,
            tickets: &state.tickets,
            pauses: &state.pauses,
            now: self.clock.now(),
            date: self.clock.date(),
        };
        overview::of_pool(&sources, state.pool.snapshot(sources.now, most), most)
    }

    /// Returns what is known about a worker, connected or not.
    pub(crate) fn worker(&self, name: &WorkerName) -> Option<WorkerInfo> {
        self.state.borrow().pool.worker(name)
    }

    /// Returns a connected worker.
    pub(crate) fn connected(&self, name: &WorkerName) -> Option<(WorkerId, Worker)> {
        let state = self.state.borrow();
        let id = state.pool.registration(name)?;
        Some((id, state.workers.get(id)?.worker.clone()))
    }

    /// Returns the pool in numbers.
    pub(crate) fn stats(&self) -> Stats {
        self.state.borrow().pool.stats()
    }

    /// Returns the numbers for metrics.
    pub(crate) fn report(&self) -> PoolReport {
        let inactive = details::inactive(&self.details());
        let state = self.state.borrow();
        let now = self.clock.now();
        PoolReport {
            inactive,
            name: self.name.to_string(),
            stats: state.pool.stats(),
            history: state.history.clone(),
            oldest_wait: state
                .tickets
                .oldest()
                .map_or(0.0, |since| now.secs_after(since)),
            versions: state.workers.versions(),
        }
    }

    /// Returns how many jobs the workers have.
    pub(crate) fn count_running(&self) -> usize {
        self.state.borrow().tickets.count_running()
    }

    /// Returns a signal that is given whenever a worker comes, goes, or runs more or fewer jobs.
    pub(crate) fn workers_changed(&self) -> watch::Receiver<()> {
        self.workers_changed.subscribe()
    }
}

/// What is done because of it.
impl Reactor {
    /// Tells the state what happened, and performs what follows from it.
    fn tell<R>(&self, event: impl FnOnce(&mut State, Time) -> R) -> (R, Saving) {
        let result = self.note(event);
        (result, self.perform())
    }

    /// Tells the state what happened. What follows must be performed right afterwards.
    fn note<R>(&self, event: impl FnOnce(&mut State, Time) -> R) -> R {
        event(&mut self.state.borrow_mut(), self.clock.now())
    }

    /// Returns what a ticket is called in the log: other pools have tickets of the same number.
    fn full_name(&self, ticket: TicketId) -> String {
        format!("{}/{ticket}", self.name)
    }

    /// Performs everything the pool has asked for.
    fn perform(&self) -> Saving {
        let mut saving = Saving::default();
        while let Some(effect) = self.poll_effect() {
            match effect {
                Effect::Deliver {
                    pop,
                    worker,
                    name,
                    ticket,
                } => self.deliver(pop, worker, name, ticket),
                Effect::Ask { worker } => self.want_sign(worker),
                Effect::PopFailed { pop } => self.fail_pop(pop),
                Effect::SaveCached { hint, worker } => {
                    self.db
                        .note(self.cached(hint.as_str(), &worker), self.clock.date());
                }
                Effect::SavePaused { worker, paused } => {
                    saving.0.push(self.save(self.paused(&worker, paused)));
                }
                Effect::SaveRate { client, rate } => {
                    saving.0.push(self.save(self.rate(&client, rate)));
                }
                Effect::ForgetWorker { worker } => {
                    saving.0.push(self.save(self.forgotten(&worker)));
                }
                Effect::RunningChanged { .. } => {
                    self.workers_changed.send_replace(());
                }
                Effect::Decided(decision) => self.decided(&decision),
            }
        }
        self.set_timer();
        saving
    }

    fn poll_effect(&self) -> Option<Effect> {
        self.state.borrow_mut().pool.poll_effect()
    }

    /// Gives a job to whoever waits for the pop. See [`Assignment`] for the rest of its way.
    fn deliver(&self, pop: PopId, worker: WorkerId, name: WorkerName, ticket: TicketId) {
        let (pop, request, nth) = {
            let mut state = self.state.borrow_mut();
            let request = state.start(self.clock.now(), ticket, worker, name.clone());
            let nth = state
                .tickets
                .running(ticket)
                .map_or(0, |running| running.nth);
            (state.pops.remove(&pop), request, nth)
        };
        if let Some(Request { client, .. }) = &request {
            // By this number the job is found in the worker's log.
            tracing::info!(
                target: "scheduler",
                ticket = %self.full_name(ticket), %client, worker = %name, nth,
                "Job given to \"{name}\""
            );
        }
        let assignment = self
            .this
            .upgrade()
            .zip(request)
            .map(|(reactor, request)| Assignment::new(reactor, ticket, name, request));
        match (pop, assignment) {
            (Some(pop), Some(assignment)) => pop.answer(assignment),
            // The pool delivers no ticket twice, and to no pop that was cancelled. Whichever half is
            // there is dropped, which tells who waits for it.
            (_pop, _assignment) => {
                tracing::error!(target: "scheduler", ticket = %self.full_name(ticket), "The job could not be given to its worker");
            }
        }
    }

    fn fail_pop(&self, pop: PopId) {
        // Dropping it fails the call.
        let _pending = self.state.borrow_mut().pops.remove(&pop);
    }

    fn decided(&self, decision: &Decision) {
        match decision.ticket() {
            Some(ticket) => {
                tracing::info!(target: "scheduler", ticket = %self.full_name(ticket), "{decision}");
            }
            None => tracing::info!(target: "scheduler", "{decision}"),
        }
        if let Decision::Registered { .. } | Decision::Released { .. } = decision {
            self.workers_changed.send_replace(());
        }
    }

    fn set_timer(&self) {
        let deadline = self.state.borrow().pool.next_deadline();
        if self.deadline.replace(deadline) != deadline {
            self.wake.notify_one();
        }
    }
}
