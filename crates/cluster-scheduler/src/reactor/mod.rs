//! One pool, and all that is done for it.
//!
//! The services report events to the reactor. It reports them to the pool (which decides), and performs the
//! effects that the pool asks for.
//!
//! Two rules keep this safe to call from anywhere:
//!
//! - **Nothing foreign is called or dropped while the state is borrowed.** Dropping a capability may
//!   drop the last reference to one of this scheduler's services, which calls the reactor again.
//! - **What is released inside the RPC system is only recorded there** ([`Departed`]), and handled a
//!   moment later by the reactor's own task. That task also cancels the queued jobs of a client that
//!   has left, a few at a time: there may be a hundred thousand.

mod admins;
mod cancel;
mod clients;
mod departed;
mod durable_owner;
mod explain;
mod handover;
mod liveness;
mod pauses;
mod perform;
mod report;
mod save;
mod takeover;
mod versions;
mod web;
mod workers;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use pool::{Pool, PopId, TicketId, Time};
use tokio::sync::{Notify, watch};

pub(crate) use self::clients::{Cancelled, TicketState};
use self::departed::Departed;
pub(crate) use self::durable_owner::DurableOwner;
pub(crate) use self::handover::{ChosenWorker, PendingPop, PopAnswer};
pub(crate) use self::liveness::PROBE_AFTER;
pub(crate) use self::report::PoolReport;
pub(crate) use self::save::PendingSave;
use crate::clock::Clock;
use crate::config::PoolName;
use crate::db::Writer;
use crate::explain::WaitReport;
use crate::history::History;
use crate::pauses::Pauses;
use crate::roster::Roster;
use crate::tickets::Tickets;

/// How many tickets are cancelled before other tasks get their turn: about 1 ms of work.
const MAX_TICKETS_PER_TURN: usize = 200;

pub(crate) struct Reactor {
    this: Weak<Self>,
    name: PoolName,
    /// The copy of its name that its durable jobs share.
    shared_name: Arc<str>,
    clock: Clock,
    db: Rc<Writer>,
    state: RefCell<State>,
    departed: RefCell<Departed>,
    /// When to report the time to the pool next.
    deadline: Cell<Option<Time>>,
    /// Wakes the reactor's task: something was released, or the deadline has moved.
    wake: Notify,
    /// Notified whenever a worker registers, leaves, or runs more or fewer jobs.
    workers_changed: watch::Sender<()>,
    /// Grows with everything that happens.
    changes: Cell<u64>,
    /// Whether no more jobs are assigned.
    assignments_stopped: Cell<bool>,
    /// Who has the durable jobs that are queued here.
    durable_owner: RefCell<Option<Weak<dyn DurableOwner>>>,
}

struct State {
    pool: Pool,
    tickets: Tickets,
    /// The calls that wait for each pop's answer.
    pops: HashMap<PopId, PendingPop>,
    workers: Roster,
    wait_report: WaitReport,
    history: History,
    pauses: Pauses,
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
            wait_report: WaitReport::default(),
            history: History::default(),
            pauses,
        };
        Rc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            shared_name: name.as_str().into(),
            name,
            clock,
            db,
            state: RefCell::new(state),
            departed: RefCell::default(),
            deadline: Cell::new(None),
            wake: Notify::new(),
            workers_changed: watch::Sender::new(()),
            changes: Cell::new(0),
            assignments_stopped: Cell::new(false),
            durable_owner: RefCell::default(),
        })
    }

    /// Reports the time to the pool when it is due, and handles what was released. Never ends.
    pub(crate) async fn run(self: Rc<Self>) {
        loop {
            self.clear_departed().await;
            match self.deadline.get() {
                None => self.wake.notified().await,
                Some(deadline) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(self.clock.until(deadline)) => {
                        self.apply(|state, now| state.pool.advance(now));
                    }
                },
            }
        }
    }

    /// Returns the copy of its name that its durable jobs share.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.shared_name)
    }

    /// Changes the state by an event, and performs the effects.
    fn apply<R>(&self, event: impl FnOnce(&mut State, Time) -> R) -> (R, PendingSave) {
        let result = self.change(event);
        (result, self.perform())
    }

    /// Changes the state by an event. The effects must be performed right afterwards.
    fn change<R>(&self, event: impl FnOnce(&mut State, Time) -> R) -> R {
        self.changes.set(self.changes.get().wrapping_add(1));
        event(&mut self.state.borrow_mut(), self.clock.now())
    }

    /// Returns the name of the pool.
    pub(crate) fn name(&self) -> &PoolName {
        &self.name
    }

    /// Returns what a ticket is called in the log: other pools have tickets of the same number.
    fn full_name(&self, ticket: TicketId) -> String {
        format!("{}/{ticket}", self.name)
    }
}
