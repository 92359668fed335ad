//! One connection, as all who have to do with it share it: the RPC system above, the task that drives it, and the
//! handles that applications hold.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use capnp::Error;
use capnp::message::{Builder, HeapAllocator};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::sync::{Notify, oneshot};

use crate::ending::Ending;
use crate::frame::{Decoder, Frame};
use crate::ledger::Ledger;
use crate::outbox::Outbox;
use crate::socket::Stream;
use crate::{Counters, Fingerprint, Limits, ServiceId};

/// How much is read from a socket at once.
const READ_SIZE: usize = 64 * 1024;

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
    labels: RefCell<Vec<String>>,
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
    /// Whether there is still a handle that keeps the connection open.
    pub(crate) held: Cell<bool>,
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
}

impl Link {
    pub(crate) fn new(new: NewLink) -> Rc<Self> {
        new.counters.opened();
        Rc::new(Self {
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
            held: Cell::new(true),
            received: Cell::new(0),
            unacknowledged: Cell::new(false),
            reader: RefCell::default(),
            task: RefCell::default(),
        })
    }

    /// Adds to what the peer is called when it is lost.
    pub(crate) fn describe(&self, text: String) {
        self.labels.borrow_mut().push(text);
    }

    fn label(&self) -> String {
        let labels = self.labels.borrow();
        if labels.is_empty() {
            self.default_label.clone()
        } else {
            labels.join("; ")
        }
    }

    /// Ends the connection, unless it is ending already; the RPC system hears of it when it reads next.
    pub(crate) fn end(&self, ending: Ending) {
        self.ending.borrow_mut().get_or_insert(ending);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        self.wake();
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

    /// Makes the connection's task run again.
    pub(crate) fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
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
            if let Some(frame) = self.decoder.borrow_mut().next() {
                self.counters.message_in();
                return Poll::Ready(Ok(frame));
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
            let result = SCRATCH.with_borrow_mut(|scratch| {
                let count = std::task::ready!(read(scratch))?;
                decoder.push(scratch.get(..count).unwrap_or_default())?;
                Poll::Ready(Ok::<_, Ending>(count))
            });
            std::task::ready!(result)?
        };
        self.counters.bytes_in(count);
        self.received.set(self.received.get() + count as u64);
        self.unacknowledged.set(true);
        Poll::Ready(Ok(count))
    }

    /// Returns whether more waits to be written than the peer may leave unread.
    pub(crate) fn is_over_full(&self) -> bool {
        self.outbox.borrow().len() > self.limits.unsent
    }

    /// Writes as much as the stream takes; ready when all is written.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        let was_over_full = self.is_over_full();
        let result = self.poll_write_all(cx);
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
        *self.decoder.borrow_mut() = Decoder::new(0);
        *self.ledger.borrow_mut() = Ledger::default();
    }
}
