//! What a listener keeps of each peer that has connected to it.

use std::cell::Cell;
use std::rc::Rc;

use super::unauthenticated::{UnauthenticatedGuard, UnauthenticatedPeers};
use crate::log_limiter::LogLimiter;

/// What an inbound connection has, and an outbound one has not.
pub(crate) struct Inbound {
    pub(crate) unauthenticated: UnauthenticatedGuard,
    pub(crate) socket: SocketGuard,
    pub(crate) log_limiter: Rc<LogLimiter>,
}

/// Counts one open socket until it is dropped.
pub(crate) struct SocketGuard {
    count: Rc<Cell<usize>>,
    unauthenticated: UnauthenticatedPeers,
}

impl SocketGuard {
    /// Adds one to `count`. The listener, which waits with the unauthenticated peers, learns when it is taken off.
    pub(crate) fn new(count: &Rc<Cell<usize>>, unauthenticated: &UnauthenticatedPeers) -> Self {
        count.set(count.get() + 1);
        Self {
            count: count.clone(),
            unauthenticated: unauthenticated.clone(),
        }
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.count.set(self.count.get() - 1);
        self.unauthenticated.notify_freed();
    }
}
