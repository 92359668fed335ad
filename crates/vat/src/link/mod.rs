//! One connection, as all who have to do with it share it: the RPC system above, the task that drives it, and the
//! handles that applications hold.

mod guest;
mod input;
mod output;
mod strangers;
mod totals;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use capnp::Error;
use capnp::message::{Builder, HeapAllocator};
use tokio::sync::{Notify, oneshot};

pub(crate) use self::guest::{Guest, Slot};
use self::strangers::Place;
pub(crate) use self::strangers::Strangers;
pub(crate) use self::totals::{Links, Totals};
use crate::ending::Ending;
use crate::frame::Decoder;
use crate::labels::Labels;
use crate::ledger::{Debt, Debts, Ledger};
use crate::notices::Notices;
use crate::outbox::Outbox;
use crate::socket::Stream;
use crate::text::Shown;
use crate::{Counters, Fingerprint, Limits, ServiceId};

/// From how many questions and exports on a lost peer's are taken apart in pieces.
const LARGE_DEBT: usize = 500;

/// How long a peer waits for an answer that asks for a service in vain for the second time; the next takes twice as long.
const VAIN_DELAY: Duration = Duration::from_millis(100);

/// What a connection is for.
pub(crate) enum Role {
    /// The peer asks for services of ours.
    Serving,
    /// We ask for this service of the peer's, and tell when it has answered.
    Using {
        service: ServiceId,
        answered: RefCell<Option<oneshot::Sender<Answered>>>,
    },
}

/// How a peer has answered our Bootstrap: with a capability, or with an exception.
pub(crate) type Answered = Result<(), Error>;

pub(crate) struct Link {
    /// `None` when all is over, though somebody may still hold the link.
    stream: RefCell<Option<Box<dyn Stream>>>,
    decoder: RefCell<Decoder>,
    pub(crate) outbox: RefCell<Outbox>,
    pub(crate) ledger: RefCell<Ledger>,
    /// Messages for the RPC system that the peer has not sent.
    pub(crate) injected: RefCell<VecDeque<Builder<HeapAllocator>>>,
    pub(crate) role: Role,
    pub(crate) limits: Rc<Limits>,
    pub(crate) counters: Counters,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) address: String,
    labels: RefCell<Labels>,
    default_label: String,
    ending: RefCell<Option<Ending>>,
    /// Set once all capabilities are broken: with the exception they are broken with.
    ended: RefCell<Option<Error>>,
    /// Wakes those who wait for that.
    waiting: Notify,
    /// Wakes those who wait until nothing is left to be sent.
    flushed: Notify,
    /// Called once when all capabilities are broken.
    on_ended: RefCell<Option<Box<dyn FnOnce()>>>,
    /// Whether the peer has named a service that exists, or is the one that we have connected to.
    trusted: Cell<bool>,
    /// What it has until then, if others may need that.
    place: RefCell<Option<Place>>,
    /// What it has for as long as the socket is open.
    slot: RefCell<Option<Slot>>,
    notices: Option<Rc<Notices>>,
    /// How often the peer has asked for a service that does not exist.
    vain: Cell<u32>,
    totals: Rc<Totals>,
    /// Its part of those totals.
    pub(crate) incomplete: Cell<usize>,
    pub(crate) unsent: Cell<usize>,
    /// What a lost peer has left behind, once that is being cleared away.
    debts: RefCell<Option<Debts>>,
    /// Whether there is still a handle that keeps the connection open.
    pub(crate) held: Cell<bool>,
    /// Whether the RPC system is having its turn.
    pub(crate) running: Cell<bool>,
    /// How many bytes have come, without those of TLS.
    pub(crate) received: Cell<u64>,
    /// Whether bytes have arrived since the last quick acknowledgement was asked for.
    unacknowledged: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    task: RefCell<Option<Waker>>,
}

/// What is known of a connection when it begins.
pub(crate) struct NewLink {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) role: Role,
    pub(crate) limits: Rc<Limits>,
    pub(crate) counters: Counters,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) address: String,
    /// What to say when the connection is lost and nobody has described the peer.
    pub(crate) label: String,
    pub(crate) totals: Rc<Totals>,
    /// What a peer is that has connected to us.
    pub(crate) guest: Option<Guest>,
}

impl Link {
    pub(crate) fn new(new: NewLink) -> Rc<Self> {
        new.counters.opened();
        let trusted = new.guest.is_none();
        let (place, slot, notices) = match new.guest {
            Some(guest) => (Some(guest.place), Some(guest.slot), Some(guest.notices)),
            None => (None, None, None),
        };
        let link = Rc::new(Self {
            stream: RefCell::new(Some(new.stream)),
            decoder: RefCell::new(Decoder::new(new.limits.message)),
            outbox: RefCell::default(),
            ledger: RefCell::default(),
            injected: RefCell::default(),
            role: new.role,
            limits: new.limits,
            counters: new.counters,
            fingerprint: new.fingerprint,
            address: new.address,
            labels: RefCell::default(),
            default_label: new.label,
            ending: RefCell::default(),
            ended: RefCell::default(),
            waiting: Notify::new(),
            flushed: Notify::new(),
            on_ended: RefCell::default(),
            trusted: Cell::new(trusted),
            place: RefCell::default(),
            slot: RefCell::new(slot),
            notices,
            vain: Cell::new(0),
            totals: new.totals,
            incomplete: Cell::new(0),
            unsent: Cell::new(0),
            debts: RefCell::default(),
            held: Cell::new(true),
            running: Cell::new(false),
            received: Cell::new(0),
            unacknowledged: Cell::new(false),
            reader: RefCell::default(),
            task: RefCell::default(),
        });
        if let Some(place) = place {
            place.connected(&link);
            *link.place.borrow_mut() = Some(place);
        }
        link
    }

    /// Notes that the peer knows a secret of ours, and may do more from now on.
    pub(crate) fn trust(&self) {
        self.trusted.set(true);
        drop(self.place.take());
        self.wake_reader();
    }

    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted.get()
    }

    /// Notes that the peer asked for a service that does not exist; returns how long it is to wait for that answer.
    pub(crate) fn asked_in_vain(&self) -> Duration {
        let before = self.vain.replace(self.vain.get() + 1);
        self.warn(format_args!(
            "the peer at {} asks for a service that does not exist",
            self.address
        ));
        if before >= Limits::UNKNOWN_SERVICES {
            let most = Limits::UNKNOWN_SERVICES;
            self.end(Ending::Violation(format!(
                "it asked for more than {most} services that do not exist"
            )));
        }
        match before {
            0 => Duration::ZERO,
            _ => VAIN_DELAY * 2u32.saturating_pow(before.min(Limits::UNKNOWN_SERVICES) - 1),
        }
    }

    /// Logs something that the peer has done, but no more of it than a stranger may cause.
    pub(crate) fn warn(&self, what: std::fmt::Arguments<'_>) {
        match &self.notices {
            Some(notices) if !self.is_trusted() => notices.warn(what),
            _ => tracing::warn!("{}", Shown::new(&what.to_string())),
        }
    }

    /// Returns the next of what a lost peer has left behind, if that is much.
    ///
    /// The RPC system would clear it away in one go, while everybody waits. So it first gets told one by one what the peer
    /// would have said, had it tidied up.
    pub(crate) fn next_debt(&self) -> Option<Debt> {
        let mut debts = self.debts.borrow_mut();
        let debts = debts.get_or_insert_with(|| {
            let mut ledger = self.ledger.borrow_mut();
            if ledger.debt() > LARGE_DEBT {
                ledger.take_debts()
            } else {
                Debts::default()
            }
        });
        debts.next()
    }

    /// Adds to what the peer is called when it is lost.
    pub(crate) fn describe(&self, text: String) {
        self.labels.borrow_mut().add(text);
    }

    fn label(&self) -> String {
        let labels = self.labels.borrow().text();
        labels.unwrap_or_else(|| self.default_label.clone())
    }

    /// Ends the connection, unless it is ending already; the RPC system hears of it when it reads next.
    pub(crate) fn end(&self, ending: Ending) {
        if self.ending().is_none() {
            *self.ending.borrow_mut() = Some(ending);
            self.wake_reader();
            self.wake();
        }
    }

    /// Makes the RPC system look again whether there is something to read.
    pub(crate) fn wake_reader(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending.borrow().clone()
    }

    /// Returns the exception that capabilities break with when the connection ends like this.
    pub(crate) fn exception(&self, ending: &Ending) -> Error {
        Error::disconnected(format!("{} ({ending})", self.label()))
    }

    /// Says that all capabilities are broken now.
    pub(crate) fn set_ended(&self, error: Error) {
        if !self.has_ended() {
            *self.ended.borrow_mut() = Some(error);
            self.counters.closed();
            self.waiting.notify_waiters();
            self.flushed.notify_waiters();
            if let Some(on_ended) = self.on_ended.take() {
                on_ended();
            }
        }
        if let Role::Using { answered, .. } = &self.role {
            drop(answered.take());
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Has this called once all capabilities are broken: for whoever would need a task of its own to wait for it.
    pub(crate) fn on_ended(&self, call: impl FnOnce() + 'static) {
        *self.on_ended.borrow_mut() = Some(Box::new(call));
    }

    /// Waits until all capabilities are broken, and returns the exception they are broken with.
    pub(crate) fn ended(self: &Rc<Self>) -> impl Future<Output = Error> + 'static {
        let link = self.clone();
        async move {
            loop {
                // Made before looking, so that nothing is missed in between.
                let waiting = link.waiting.notified();
                if let Some(error) = &*link.ended.borrow() {
                    return error.clone();
                }
                waiting.await;
            }
        }
    }

    /// Says that nothing is left to be sent.
    pub(crate) fn set_flushed(&self) {
        self.flushed.notify_waiters();
    }

    /// Waits until nothing is left to be sent, or nothing more can be.
    pub(crate) fn flushed(self: &Rc<Self>) -> impl Future<Output = ()> + 'static {
        let link = self.clone();
        async move {
            // Made before looking, so that nothing is missed in between.
            let flushed = link.flushed.notified();
            if link.has_ended() {
                return;
            }
            // An empty outbox says little: the RPC system may not have run since there was something to say.
            link.wake();
            flushed.await;
        }
    }

    /// Gives up a handle that kept the connection open.
    pub(crate) fn let_go(&self) {
        self.held.set(false);
        self.wake();
    }

    /// Makes the connection's task run again, unless it is running: it looks for what there is to do at the end.
    pub(crate) fn wake(&self) {
        if !self.running.get()
            && let Some(task) = &*self.task.borrow()
        {
            task.wake_by_ref();
        }
    }

    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// Closes the socket and gives all memory back, whoever still holds the link.
    pub(crate) fn dispose(&self) {
        drop(self.stream.take());
        self.outbox.borrow_mut().clear();
        self.totals.note_unsent(self, 0);
        self.totals.note_incomplete(self, 0);
        drop(self.place.take());
        drop(self.slot.take());
        drop(self.debts.take());
        *self.decoder.borrow_mut() = Decoder::new(0);
        *self.ledger.borrow_mut() = Ledger::default();
    }
}
