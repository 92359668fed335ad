//! How a worker is, in a line for whoever started it.

use std::fmt;

use tokio::sync::watch;

use crate::config::Capacity;
use crate::running::Load;

/// How a worker is. Clones are about the same worker; the one in its config is kept up to date while it runs.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    link: watch::Sender<Link>,
    /// How much it has to do.
    pub(crate) load: watch::Sender<Load>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    /// Its directories and its builder are being opened.
    #[default]
    Starting,
    /// It would work, but the scheduler is away.
    Away,
    /// It is registered.
    Registered,
}

impl Vitals {
    pub(crate) fn set_link(&self, link: Link) {
        self.link.send_replace(link);
    }

    /// Waits until the worker has started: it could work, whether or not the scheduler is there.
    pub async fn started(&self) {
        let mut link = self.link.subscribe();
        // The sender is ours, so the wait ends only when it should.
        drop(link.wait_for(|link| *link != Link::Starting).await);
    }

    /// Returns it in a line, for a worker with this capacity.
    pub fn status(&self, capacity: Capacity) -> String {
        let link = *self.link.borrow();
        format!(
            "{link}, {} of {} jobs running",
            self.load.borrow().in_use,
            capacity.value()
        )
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Away => "waiting for the scheduler",
            Self::Registered => "connected",
        })
    }
}
