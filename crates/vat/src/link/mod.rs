//! One connection, as the RPC system, the task that drives it and the application's handles share it.

mod inbound;
mod input;
mod output;
mod totals;
mod unauthenticated;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use capnp::Error;
use capnp::message::{Builder, HeapAllocator};
use tokio::sync::{Notify, oneshot};

pub(crate) use self::inbound::{Inbound, SocketGuard};
pub(crate) use self::totals::{Links, Totals};
use self::unauthenticated::UnauthenticatedGuard;
pub(crate) use self::unauthenticated::UnauthenticatedPeers;
use crate::close_reason::CloseReason;
use crate::frame::Decoder;
use crate::labels::Labels;
use crate::ledger::{Cleanup, Cleanups, Ledger};
use crate::log_limiter::LogLimiter;
use crate::outbox::Outbox;
use crate::socket::Stream;
use crate::text::LogText;
use crate::{Counters, Fingerprint, Limits, ServiceId};

/// How many questions and exports of a lost peer may be released at once. More are released one by one.
const LARGE_CLEANUP: usize = 500;

/// How long a peer waits for the answer to its second request for an unknown service. The time doubles with each
/// request.
const UNKNOWN_SERVICE_DELAY: Duration = Duration::from_millis(100);

/// Which side has opened the connection.
pub(crate) enum Role {
    /// The peer, to use services of ours.
    Listener,
    /// We, to use this service of the peer's.
    Dialer {
        service: ServiceId,
        /// Takes the answer to our Bootstrap.
        answered: RefCell<Option<oneshot::Sender<Answer>>>,
    },
}

/// How a peer has answered our Bootstrap: with a capability, or with an exception.
pub(crate) type Answer = Result<(), Error>;

pub(crate) struct Link {
    /// `None` once the task has ended, though the application may still hold the link.
    stream: RefCell<Option<Box<dyn Stream>>>,
    decoder: RefCell<Decoder>,
    pub(crate) outbox: RefCell<Outbox>,
    pub(crate) ledger: RefCell<Ledger>,
    /// Messages for the RPC system that the peer has not sent.
    pub(crate) injected: RefCell<VecDeque<Builder<HeapAllocator>>>,
    pub(crate) role: Role,
    pub(crate) limits: Rc<Limits>,
    pub(crate) counters: Counters,
    /// `None` without TLS.
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) address: String,
    labels: RefCell<Labels>,
    default_label: String,
    /// `None` while the connection is open.
    close_reason: RefCell<Option<CloseReason>>,
    /// The exception that all capabilities are broken with; `None` before they are.
    closed: RefCell<Option<Error>>,
    /// Notified when all capabilities are broken.
    closing: Notify,
    /// Notified when nothing is left to be sent.
    flushed: Notify,
    /// Called once when all capabilities are broken.
    on_closed: RefCell<Option<Box<dyn FnOnce()>>>,
    /// Whether the peer has named a service that exists, or is the one that we have dialed.
    authenticated: Cell<bool>,
    /// `None` once the peer is authenticated, and for an outbound connection.
    unauthenticated: RefCell<Option<UnauthenticatedGuard>>,
    /// `None` for an outbound connection.
    socket: RefCell<Option<SocketGuard>>,
    /// `None` for an outbound connection.
    log_limiter: Option<Rc<LogLimiter>>,
    /// How often the peer has requested a service that does not exist.
    unknown_services: Cell<u32>,
    totals: Rc<Totals>,
    /// This connection's part of those totals.
    pub(crate) incomplete: Cell<usize>,
    pub(crate) unsent: Cell<usize>,
    /// What remains to be released for a lost peer; `None` before that begins.
    cleanups: RefCell<Option<Cleanups>>,
    /// Whether there is a handle that keeps the connection open.
    pub(crate) has_handle: Cell<bool>,
    /// Whether the RPC system is being polled.
    pub(crate) is_polling_rpc: Cell<bool>,
    /// How many bytes were received, without those of TLS.
    pub(crate) received: Cell<u64>,
    /// Whether bytes have arrived since the last request for a quick acknowledgement.
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
    /// What errors call the lost connection until the application has described the peer.
    pub(crate) label: String,
    pub(crate) totals: Rc<Totals>,
    /// `None` for an outbound connection.
    pub(crate) inbound: Option<Inbound>,
}

impl Link {
    pub(crate) fn new(new: NewLink) -> Rc<Self> {
        new.counters.opened();
        let authenticated = new.inbound.is_none();
        let (unauthenticated, socket, log_limiter) = match new.inbound {
            Some(Inbound {
                unauthenticated,
                socket,
                log_limiter,
            }) => (Some(unauthenticated), Some(socket), Some(log_limiter)),
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
            close_reason: RefCell::default(),
            closed: RefCell::default(),
            closing: Notify::new(),
            flushed: Notify::new(),
            on_closed: RefCell::default(),
            authenticated: Cell::new(authenticated),
            unauthenticated: RefCell::default(),
            socket: RefCell::new(socket),
            log_limiter,
            unknown_services: Cell::new(0),
            totals: new.totals,
            incomplete: Cell::new(0),
            unsent: Cell::new(0),
            cleanups: RefCell::default(),
            has_handle: Cell::new(true),
            is_polling_rpc: Cell::new(false),
            received: Cell::new(0),
            unacknowledged: Cell::new(false),
            reader: RefCell::default(),
            task: RefCell::default(),
        });
        if let Some(guard) = unauthenticated {
            guard.set_link(&link);
            *link.unauthenticated.borrow_mut() = Some(guard);
        }
        link
    }

    /// Lifts the limits of unauthenticated peers, as the peer knows a secret of ours.
    pub(crate) fn set_authenticated(&self) {
        self.authenticated.set(true);
        drop(self.unauthenticated.take());
        self.wake_reader();
    }

    /// Returns whether this program has made the connection.
    pub(crate) fn is_dialed(&self) -> bool {
        matches!(self.role, Role::Dialer { .. })
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated.get()
    }

    /// Counts a request for a service that does not exist. Returns how long to delay the answer.
    pub(crate) fn count_unknown_service(&self) -> Duration {
        let before = self
            .unknown_services
            .replace(self.unknown_services.get() + 1);
        self.warn(format_args!(
            "Peer at {} asks for a service that does not exist",
            self.address
        ));
        let limit = Limits::UNKNOWN_SERVICES;
        if before >= limit {
            self.close(CloseReason::Violation(format!(
                "it asked for more than {limit} services that do not exist"
            )));
        }
        match before {
            0 => Duration::ZERO,
            _ => UNKNOWN_SERVICE_DELAY * 2u32.saturating_pow(before.min(limit) - 1),
        }
    }

    /// Logs something that the peer has done, at a limited rate if it is unauthenticated.
    pub(crate) fn warn(&self, what: std::fmt::Arguments<'_>) {
        match &self.log_limiter {
            Some(log_limiter) if !self.is_authenticated() => log_limiter.warn(what),
            _ => tracing::warn!("{}", LogText::new(&what.to_string())),
        }
    }

    /// Returns the next message to release what a lost peer holds; `None` if it holds little, or nothing more.
    ///
    /// The RPC system would release everything at once, and delay all other connections. So it first gets the messages
    /// with which the peer would have released it, one at a time.
    pub(crate) fn next_cleanup(&self) -> Option<Cleanup> {
        let mut cleanups = self.cleanups.borrow_mut();
        let cleanups = cleanups.get_or_insert_with(|| {
            let mut ledger = self.ledger.borrow_mut();
            if ledger.held_by_peer() > LARGE_CLEANUP {
                ledger.take_cleanups()
            } else {
                Cleanups::default()
            }
        });
        cleanups.next()
    }

    /// Adds to the text that errors call the lost peer by.
    pub(crate) fn describe(&self, text: String) {
        self.labels.borrow_mut().add(text);
    }

    fn label(&self) -> String {
        let labels = self.labels.borrow().text();
        labels.unwrap_or_else(|| self.default_label.clone())
    }

    /// Closes the connection, unless it is being closed. The RPC system learns it at its next read.
    pub(crate) fn close(&self, reason: CloseReason) {
        if self.close_reason().is_none() {
            *self.close_reason.borrow_mut() = Some(reason);
            self.wake_reader();
            self.wake();
        }
    }

    /// Makes the RPC system read again.
    pub(crate) fn wake_reader(&self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason.borrow().clone()
    }

    /// Returns the exception that capabilities break with when the connection is closed for `reason`.
    pub(crate) fn exception(&self, reason: &CloseReason) -> Error {
        Error::disconnected(format!("{} ({reason})", self.label()))
    }

    /// Notes that all capabilities are broken now, with `error`.
    pub(crate) fn set_closed(&self, error: Error) {
        if !self.is_closed() {
            *self.closed.borrow_mut() = Some(error);
            self.counters.closed();
            self.closing.notify_waiters();
            self.flushed.notify_waiters();
            if let Some(on_closed) = self.on_closed.take() {
                on_closed();
            }
        }
        if let Role::Dialer { answered, .. } = &self.role {
            drop(answered.take());
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.borrow().is_some()
    }

    /// Sets what to call once all capabilities are broken. Unlike [`closed`](Self::closed), it needs no task.
    pub(crate) fn on_closed(&self, call: impl FnOnce() + 'static) {
        *self.on_closed.borrow_mut() = Some(Box::new(call));
    }

    /// Waits until all capabilities are broken, and returns the exception they are broken with.
    pub(crate) fn closed(self: &Rc<Self>) -> impl Future<Output = Error> + 'static {
        let link = self.clone();
        async move {
            loop {
                // Registered before the check, so that no notification is missed in between.
                let closing = link.closing.notified();
                if let Some(error) = &*link.closed.borrow() {
                    return error.clone();
                }
                closing.await;
            }
        }
    }

    /// Wakes those who wait in [`flushed`](Self::flushed).
    pub(crate) fn set_flushed(&self) {
        self.flushed.notify_waiters();
    }

    /// Waits until nothing is left to be sent, or nothing more can be sent.
    pub(crate) fn flushed(self: &Rc<Self>) -> impl Future<Output = ()> + 'static {
        let link = self.clone();
        async move {
            // Registered before the check, so that no notification is missed in between.
            let flushed = link.flushed.notified();
            if link.is_closed() {
                return;
            }
            // An empty outbox is not enough: the RPC system may have a message and not have been polled since.
            link.wake();
            flushed.await;
        }
    }

    /// Drops the handle that kept the connection open.
    pub(crate) fn release_handle(&self) {
        self.has_handle.set(false);
        self.wake();
    }

    /// Wakes the connection's task, unless it is polling the RPC system: it checks everything after that.
    pub(crate) fn wake(&self) {
        if !self.is_polling_rpc.get()
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

    /// Closes the socket and frees all memory, even if there are handles left.
    pub(crate) fn dispose(&self) {
        drop(self.stream.take());
        self.outbox.borrow_mut().clear();
        self.totals.note_unsent(self, 0);
        self.totals.note_incomplete(self, 0);
        drop(self.unauthenticated.take());
        drop(self.socket.take());
        drop(self.cleanups.take());
        *self.decoder.borrow_mut() = Decoder::new(0);
        *self.ledger.borrow_mut() = Ledger::default();
    }
}
