//! One connection, as all who have to do with it share it: the RPC system above, the task that drives it, and the
//! handles that applications hold.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use capnp::Error;
use capnp::message::{Builder, HeapAllocator};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::sync::{Notify, oneshot};

use crate::ending::Ending;
use crate::frame::{Decoder, Frame};
use crate::labels::Labels;
use crate::ledger::{Debt, Debts, Ledger};
use crate::listen::Slot;
use crate::notices::Notices;
use crate::outbox::Outbox;
use crate::socket::Stream;
use crate::strangers::Place;
use crate::text::Shown;
use crate::totals::Totals;
use crate::{Counters, Fingerprint, Limits, ServiceId};

/// How much is read from a socket at once.
const READ_SIZE: usize = 64 * 1024;

/// From how many questions and exports on a lost peer's are taken apart in pieces.
const LARGE_DEBT: usize = 500;

/// How long a peer waits for an answer that asks for a service in vain for the second time; the next takes twice as long.
const VAIN_DELAY: Duration = Duration::from_millis(100);

thread_local! {
    /// Where all connections read to, as they all live on one thread: an idle one needs no buffer then.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

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

/// What only a peer has that has connected to us.
pub(crate) struct Guest {
    pub(crate) place: Place,
    pub(crate) slot: Slot,
    pub(crate) notices: Rc<Notices>,
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
            injected: RefCell::new(crate::restore::opening_messages().into()),
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

    /// Returns the next message that has arrived, reading from the stream if there is none yet.
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Result<Frame, Ending>> {
        loop {
            if let Some(ending) = self.ending() {
                return Poll::Ready(Err(ending));
            }
            if !self.is_trusted() && self.has_enough_of_stranger() {
                return self.wait_to_read(cx);
            }
            if let Some(frame) = self.decoder.borrow_mut().next() {
                self.counters.message_in();
                return Poll::Ready(Ok(frame));
            }
            if !self.is_trusted() && self.is_beyond_strangers(self.decoder.borrow().expects()) {
                return self.wait_to_read(cx);
            }
            if let Some(ending) = self.ending() {
                return Poll::Ready(Err(ending));
            }
            if self.is_over_full() {
                // The peer does not read, so it has to wait with asking for more.
                return self.wait_to_read(cx);
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => self.end(Ending::ClosedByPeer),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(ending)) => self.end(ending),
                Poll::Pending => return self.wait_to_read(cx),
            }
        }
    }

    /// Returns whether a stranger has to wait for answers, or to read them, before it may ask for more: it asks for a service,
    /// and what comes before the answer to that is little.
    fn has_enough_of_stranger(&self) -> bool {
        let Limits {
            strangers_message,
            strangers_questions,
            ..
        } = *self.limits;
        let ledger = self.ledger.borrow();
        self.is_over_full()
            || ledger.unanswered_bytes() > strangers_message
            || ledger.unanswered() > strangers_questions / 2
    }

    /// Returns whether a message of this size has to wait until it is known whether the peer is a stranger, because it is
    /// too large for one. It is for good, and the connection ends, if nothing is left to be answered.
    fn is_beyond_strangers(&self, size: usize) -> bool {
        let limit = self.limits.strangers_message;
        if size <= limit {
            return false;
        }
        if self.ledger.borrow().unanswered() == 0 {
            self.end(Ending::Violation(format!(
                "message of {size} bytes is over the limit of {limit} bytes for whoever has not named a service"
            )));
            return false;
        }
        true
    }

    fn wait_to_read<T>(&self, cx: &mut Context<'_>) -> Poll<T> {
        *self.reader.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Reads once; returns how many bytes have come, 0 at the end of the stream.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Result<usize, Ending>> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = &mut *stream else {
            return Poll::Ready(Ok(0));
        };
        let mut decoder = self.decoder.borrow_mut();
        let mut read = |space: &mut [u8]| {
            let mut buffer = ReadBuf::new(space);
            Pin::new(&mut **stream)
                .poll_read(cx, &mut buffer)
                .map_ok(|()| buffer.filled().len())
                .map_err(|e| Ending::of_io_error(&e))
        };
        let count = if let Some(space) = decoder.space() {
            let count = std::task::ready!(read(space))?;
            decoder.filled(count);
            count
        } else {
            let most = if self.is_trusted() {
                READ_SIZE
            } else {
                READ_SIZE.min(self.limits.strangers_message)
            };
            let result = SCRATCH.with_borrow_mut(|scratch| {
                let scratch = scratch.get_mut(..most).unwrap_or_default();
                let count = std::task::ready!(read(scratch))?;
                decoder.push(scratch.get(..count).unwrap_or_default())?;
                Poll::Ready(Ok::<_, Ending>(count))
            });
            std::task::ready!(result)?
        };
        let held = decoder.held();
        drop(decoder);
        self.totals.note_incomplete(self, held);
        self.counters.bytes_in(count);
        self.received.set(self.received.get() + count as u64);
        self.unacknowledged.set(true);
        Poll::Ready(Ok(count))
    }

    /// Adds a message to what is to be sent, unless the peer will not read it.
    pub(crate) fn send(&self, message: &Rc<Builder<HeapAllocator>>) {
        if self.has_ended()
            || self
                .ending()
                .is_some_and(|ending| !ending.peer_may_listen())
        {
            return;
        }
        self.outbox.borrow_mut().push(message);
        self.note_unsent();
        self.counters.message_out();
        self.wake();
    }

    fn note_unsent(&self) {
        let unsent = self.outbox.borrow().len();
        self.totals.note_unsent(self, unsent);
    }

    /// Returns whether a message has begun to arrive and is not whole, and it is the peer that we wait for.
    pub(crate) fn waits_for_more(&self) -> bool {
        self.incomplete.get() > 0 && !self.has_ended() && !self.is_over_full()
    }

    /// Returns whether more waits to be written than the peer may leave unread.
    pub(crate) fn is_over_full(&self) -> bool {
        let most = if self.is_trusted() {
            self.limits.unsent
        } else {
            self.limits.strangers_message
        };
        self.outbox.borrow().len() > most
    }

    /// Writes as much as the stream takes; ready when all is written.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        let was_over_full = self.is_over_full();
        let result = self.poll_write_all(cx);
        self.note_unsent();
        if was_over_full
            && !self.is_over_full()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
        result.map_err(|e| Ending::of_io_error(&e))
    }

    fn poll_write_all(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = &mut *stream else {
            return Poll::Ready(Ok(()));
        };
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.is_empty() {
            let count = std::task::ready!(Pin::new(&mut **stream).poll_write(cx, outbox.front()))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            outbox.advance(count);
            self.counters.bytes_out(count);
        }
        Pin::new(&mut **stream).poll_flush(cx)
    }

    /// Asks for a quick acknowledgement if anything has arrived.
    pub(crate) fn acknowledge(&self) {
        if self.unacknowledged.take()
            && let Some(stream) = &*self.stream.borrow()
        {
            stream.socket().acknowledge_quickly();
        }
    }

    /// Ends the stream in our direction.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.stream.borrow_mut() {
            Some(stream) => Pin::new(stream).poll_shutdown(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// Reads and throws away all that comes, until the peer ends the stream in its direction.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = &mut *stream else {
            return Poll::Ready(());
        };
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let mut buffer = ReadBuf::new(scratch);
                match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
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
