//! The wish that something should stop, told to everybody who works on it.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

/// Tells those who work on a job that it is no longer wanted. Clones are the same wish.
///
/// It is only a wish: whoever sees it stops what it has started, and returns when that has ended.
#[derive(Clone)]
pub struct Cancel(Rc<watch::Sender<Option<Reason>>>);

/// Why something should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Nobody wants it any more.
    Unwanted,
    /// An operator cancelled it.
    Operator,
    /// The worker ends, and it takes too long to wait for.
    WorkerEnds,
    /// It has taken longer than this, which is the limit.
    TimedOut(Duration),
}

impl Cancel {
    /// Returns a wish that nobody has yet.
    pub fn new() -> Self {
        Self(Rc::new(watch::Sender::new(None)))
    }

    /// Asks for it to stop, because nobody wants it any more. Doing so again changes nothing.
    pub fn cancel(&self) {
        self.cancel_because(Reason::Unwanted);
    }

    /// Asks for it to stop. The first reason is kept.
    pub(crate) fn cancel_because(&self, reason: Reason) {
        self.0.send_modify(|wish| {
            wish.get_or_insert(reason);
        });
    }

    /// Returns whether it is to stop.
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// Returns why it is to stop, if it is.
    pub(crate) fn reason(&self) -> Option<Reason> {
        *self.0.borrow()
    }

    /// Waits until it is to stop: perhaps for ever.
    pub async fn cancelled(&self) {
        let mut wish = self.0.subscribe();
        // The sender is ours, so the channel cannot close while we wait.
        if wish.wait_for(Option::is_some).await.is_err() {
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
