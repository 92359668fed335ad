//! The wish that something should stop, told to everybody who works on it.

use std::fmt;
use std::rc::Rc;

use tokio::sync::watch;

/// Tells those who work on a job that it is no longer wanted. Clones are the same wish.
///
/// It is only a wish: whoever sees it stops what it has started, and returns when that has ended.
#[derive(Clone)]
pub struct Cancel(Rc<watch::Sender<bool>>);

impl Cancel {
    /// Returns a wish that nobody has yet.
    pub fn new() -> Self {
        Self(Rc::new(watch::Sender::new(false)))
    }

    /// Asks for it to stop. Doing so again changes nothing.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Returns whether it is to stop.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is to stop: perhaps for ever.
    pub async fn cancelled(&self) {
        let mut wish = self.0.subscribe();
        // The sender is ours, so the channel cannot close while we wait.
        if wish.wait_for(|wanted| *wanted).await.is_err() {
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
