//! A connection as the application sees it.

use std::fmt;
use std::rc::Rc;

use crate::Fingerprint;
use crate::ending::Ending;
use crate::link::Link;

/// The other end of one connection; a clone is the same.
///
/// It does not keep the connection open.
#[derive(Clone)]
pub struct Peer(Rc<Link>);

impl Peer {
    pub(crate) fn new(link: Rc<Link>) -> Self {
        Self(link)
    }

    /// Notes that the peer knows a secret of ours, and may do more from now on.
    pub(crate) fn trust(&self) {
        self.0.trust();
    }

    /// Notes that the peer asked for a service that does not exist; returns how long it is to wait for that answer.
    pub(crate) fn asked_in_vain(&self) -> std::time::Duration {
        self.0.asked_in_vain()
    }

    /// Returns the fingerprint of the peer's key; `None` without TLS.
    pub fn id(&self) -> Option<Fingerprint> {
        self.0.fingerprint
    }

    /// Returns where the peer connects from, or where it was connected to.
    pub fn address(&self) -> String {
        self.0.address.clone()
    }

    /// Returns how many bytes have come from the peer: as long as that grows, it is there.
    pub fn received(&self) -> u64 {
        self.0.received.get()
    }

    /// Tells whether `other` is at the end of the same connection.
    pub fn is_same_connection(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Tells whether the connection has ended; all that has come through it is broken then.
    pub fn is_closed(&self) -> bool {
        self.0.has_ended()
    }

    /// Says what to call the peer when it is lost, e.g. `worker "w1" disconnected`.
    ///
    /// Every capability that has come through this connection then breaks with a `disconnected` exception whose reason
    /// starts with this text. What is said first comes first, should this be called again; after a few, the others are only
    /// counted.
    pub fn describe(&self, text: impl Into<String>) {
        self.0.describe(text.into());
    }

    /// Waits until the connection has ended; all that has come through it is broken then.
    pub fn closed(&self) -> impl Future<Output = capnp::Error> + 'static {
        self.0.ended()
    }

    /// Waits until all that was said to the peer is on its way, or the connection has ended.
    ///
    /// For whoever is about to end the program: what a slow peer has not taken by then is lost. It may never take it, so
    /// this wants a limit. The wait begins when it is first polled, and what is said from then on may or may not be waited for.
    pub fn flushed(&self) -> impl Future<Output = ()> + 'static {
        self.0.flushed()
    }

    /// Closes the connection, and tells the peer why.
    pub fn close(&self, reason: impl Into<String>) {
        self.0.end(Ending::ClosedHere(reason.into()));
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.0.address)
    }
}
