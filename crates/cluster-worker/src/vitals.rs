//! The status of a worker in one line, for its supervisor.

use std::fmt;

use tokio::sync::watch;
use visible::counted;

use crate::running::Load;
use crate::settings::Capacity;

/// The status of a worker. Clones share it. The worker updates the one in its config.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    link: watch::Sender<Link>,
    /// The worker's load.
    pub(crate) load: watch::Sender<Load>,
}

/// The state of the connection to the scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    /// Its directories and its builder are being opened.
    #[default]
    Starting,
    /// It is ready, but not connected.
    Away,
    /// It is registered.
    Registered,
}

impl Vitals {
    pub(crate) fn set_link(&self, link: Link) {
        self.link.send_replace(link);
    }

    /// Waits until the worker is ready for jobs, whether or not it is connected.
    pub async fn started(&self) {
        let mut link = self.link.subscribe();
        // `self` holds the sender, so the wait cannot end early.
        drop(link.wait_for(|link| *link != Link::Starting).await);
    }

    /// Returns the status of a worker with this capacity in one line.
    pub fn status(&self, capacity: Capacity) -> String {
        let link = *self.link.borrow();
        let capacity = capacity.value().unsigned_abs();
        let load = *self.load.borrow();
        let running = match load.shown_use(capacity) {
            same if same.is_empty() => format!("{} of {capacity} jobs running", load.jobs),
            in_use => format!("{} running{in_use}", counted(load.jobs, "job")),
        };
        format!("{link}, {running}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_their_weights_are_shown_apart() {
        let status = |jobs, waiting, in_use| {
            let vitals = Vitals::default();
            vitals.load.send_replace(Load {
                jobs,
                waiting,
                in_use,
            });
            vitals.status("10".parse().unwrap())
        };
        assert_eq!(status(0, 0, 0), "starting, 0 of 10 jobs running");
        assert_eq!(status(2, 0, 2), "starting, 2 of 10 jobs running");
        assert_eq!(status(1, 0, 4), "starting, 1 job running, 4 of 10 in use");
        assert_eq!(status(2, 1, 8), "starting, 2 jobs running, 8 of 10 in use");
    }
}
