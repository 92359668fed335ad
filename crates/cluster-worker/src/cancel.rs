//! A request to stop, which all parts of a job share.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

/// A request to stop a job. Clones share it.
///
/// Code that works for the job awaits it, stops what it has started, and returns when that has ended.
#[derive(Clone)]
pub struct Cancel(Rc<watch::Sender<Option<Reason>>>);

/// Why a job must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its client has cancelled or released it.
    Client,
    /// An operator cancelled it.
    Operator,
    /// The worker is shutting down, and no longer waits for it.
    Shutdown,
    /// It is durable, and its scheduler was away for too long or has given it up.
    GivenUp,
    /// It has taken longer than this limit.
    TimedOut(Duration),
}

impl Cancel {
    /// Returns a token that has not been cancelled.
    pub fn new() -> Self {
        Self(Rc::new(watch::Sender::new(None)))
    }

    /// Requests a stop on behalf of the client. Repeating this has no effect.
    pub fn cancel(&self) {
        self.cancel_because(Reason::Client);
    }

    /// Requests a stop. The first reason is kept.
    pub(crate) fn cancel_because(&self, reason: Reason) {
        self.0.send_modify(|first| {
            first.get_or_insert(reason);
        });
    }

    /// Returns whether a stop has been requested.
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// Returns the reason of the stop, if one has been requested.
    pub(crate) fn reason(&self) -> Option<Reason> {
        *self.0.borrow()
    }

    /// Waits until a stop is requested. This may never end.
    pub async fn cancelled(&self) {
        let mut reason = self.0.subscribe();
        // `self` holds the sender, so the channel cannot close meanwhile.
        if reason.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel({})", self.is_cancelled())
    }
}
