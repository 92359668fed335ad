//! The other end of a connection.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::Fingerprint;
use crate::close_reason::CloseReason;
use crate::link::Link;

/// The other end of one connection. Clones are the same peer.
///
/// A `Peer` does not keep the connection open.
#[derive(Clone)]
pub struct Peer(Rc<Link>);

impl Peer {
    pub(crate) fn new(link: Rc<Link>) -> Self {
        Self(link)
    }

    /// Lifts the limits of unauthenticated peers, as the peer knows a secret of ours.
    pub(crate) fn set_authenticated(&self) {
        self.0.set_authenticated();
    }

    /// Counts a request for a service that does not exist. Returns how long to delay the answer.
    pub(crate) fn count_unknown_service(&self) -> Duration {
        self.0.count_unknown_service()
    }

    /// Returns the fingerprint of the peer's key; `None` without TLS.
    pub fn id(&self) -> Option<Fingerprint> {
        self.0.fingerprint
    }

    /// Returns the address that the peer connects from, or that was dialed.
    pub fn address(&self) -> String {
        self.0.address.clone()
    }

    /// Returns how many bytes were received from the peer. While that grows, the peer is alive.
    pub fn received(&self) -> u64 {
        self.0.received.get()
    }

    /// Returns whether `other` is the end of the same connection.
    pub fn is_same_connection(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Returns whether the connection has ended. Then all capabilities that came through it are broken.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Returns why the connection has ended, for people; `None` if it has not.
    pub fn close_text(&self) -> Option<String> {
        self.0.close_reason().map(|reason| reason.to_string())
    }

    /// Returns whether the connection has ended because nothing arrived any more: the peer's machine sleeps, or its
    /// network is broken. The end of its program would have been seen.
    pub fn fell_silent(&self) -> bool {
        self.0
            .close_reason()
            .is_some_and(|reason| reason.is_silence())
    }

    /// Sets how errors call the peer when it is lost, such as `worker "w1" disconnected`.
    ///
    /// Every capability that came through this connection then breaks with a `disconnected` exception whose reason
    /// starts with this text. Further texts are appended; only the first few are shown, and the others counted.
    pub fn describe(&self, text: impl Into<String>) {
        self.0.describe(text.into());
    }

    /// Waits until the connection has ended. Returns the exception that all capabilities that came through it break
    /// with.
    pub fn closed(&self) -> impl Future<Output = capnp::Error> + 'static {
        self.0.closed()
    }

    /// Waits until all messages to the peer are handed to the system, or the connection has ended.
    ///
    /// Use it before the program exits, as messages that a slow peer has not read by then are lost. Use a timeout, as a
    /// peer may never read. The wait begins at the first poll; it may or may not include messages sent after that.
    pub fn flushed(&self) -> impl Future<Output = ()> + 'static {
        self.0.flushed()
    }

    /// Closes the connection. The peer gets the reason.
    pub fn close(&self, reason: impl Into<String>) {
        self.0.close(CloseReason::ClosedLocally(reason.into()));
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.0.address)
    }
}
