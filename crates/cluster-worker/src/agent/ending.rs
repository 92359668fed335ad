//! How a worker ends: it takes no more jobs, waits for those that are running, and cancels what takes too long.

use std::time::Duration;

use cluster_api::PauseReason;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Agent, Exit};
use crate::activity::Activity;
use crate::running::jobs;

/// How long jobs may take to stop when the worker is to end, and what they have said to be sent.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(15);

/// How long a connection is kept after that, for what was sent to arrive and the last words to be asked for.
const FAREWELL: Duration = Duration::from_millis(200);

/// How often the log says what is still waited for, if nothing changes.
const REMINDER: Duration = Duration::from_secs(30);

/// How a worker is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The jobs that are running are cancelled.
    AtOnce,
    /// No more jobs are taken, and those that are running may end by themselves.
    Drain {
        /// Those that have not ended after this time are cancelled.
        within: Duration,
    },
}

/// For whoever has nothing to say but that it is time.
impl From<()> for Ending {
    fn from((): ()) -> Self {
        Self::AtOnce
    }
}

/// Whether jobs come in.
#[derive(Default)]
pub(crate) struct Intake {
    /// Set when no more are to come.
    closing: watch::Sender<bool>,
    /// Whether the scheduler may still give us one.
    is_open: watch::Sender<bool>,
}

/// A connection by which jobs come in, until dropped.
pub(super) struct Open<'a>(&'a Intake);

impl Intake {
    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Says that jobs may come from now on.
    pub(super) fn open(&self) -> Open<'_> {
        self.is_open.send_replace(true);
        Open(self)
    }

    fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until no more jobs are to come.
    async fn closing(&self) {
        // The senders are ours, so waits end only when they should.
        drop(self.closing.subscribe().wait_for(|closing| *closing).await);
    }

    /// Waits until no more jobs can come.
    async fn closed(&self) {
        drop(self.is_open.subscribe().wait_for(|open| !*open).await);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.is_open.send_replace(false);
    }
}

impl Agent {
    /// Has the scheduler send no more jobs when the worker drains, so that those it has for us go elsewhere at once.
    /// Returns why that failed.
    pub(super) async fn close_intake(&self, activity: &Activity<'_>) -> String {
        self.intake.closing().await;
        let reason = PauseReason::new("shutting-down", "the worker is shutting down", "");
        if let Err(error) = activity.pause(reason).await {
            return error.to_string();
        }
        // What was sent before the answer has arrived before it: it is taken before anybody hears that all has come.
        tokio::task::yield_now().await;
        self.intake.is_open.send_replace(false);
        std::future::pending().await
    }

    /// Takes no more jobs, and waits until none is running, but no longer than `within`.
    pub(super) async fn drain(&self, within: Duration) {
        self.intake.close();
        let deadline = Instant::now() + within;
        let empty = async {
            self.intake.closed().await;
            self.running.idle().await;
        };
        tokio::select! {
            biased;
            () = empty => tracing::info!("No job is running any more"),
            () = tokio::time::sleep_until(deadline) => {
                tracing::warn!("{} still running after {} s: cancelling", jobs(self.running.load().jobs), within.as_secs());
            }
            () = self.say_what_is_awaited(deadline) => {}
        }
    }

    /// Says how many jobs are still waited for, and for how long: at once, when that changes, and now and then. Never ends.
    async fn say_what_is_awaited(&self, deadline: Instant) {
        let mut changes = self.running.changes();
        loop {
            let running = self.running.load().jobs;
            if running > 0 {
                let left = deadline.saturating_duration_since(Instant::now());
                tracing::info!(
                    "Waiting for {} to end, for up to {} s",
                    jobs(running),
                    left.as_secs_f64().ceil()
                );
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(REMINDER) => {}
            }
        }
    }

    /// Stops the jobs that are running, and waits until their clients can have heard of it: `flushed` ends when all that
    /// was said to them is on its way.
    pub(super) async fn wind_down(&self, exit: Exit, flushed: impl Future<Output = ()>) {
        tracing::info!("Ending ({exit:?}); {} running", self.running.load().jobs);
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        self.running.cancel_all();
        if timeout_at(deadline, self.running.idle()).await.is_err() {
            tracing::warn!("some jobs do not end; leaving them");
        }
        // A result waits behind all of the log that its client has asked for.
        if timeout_at(deadline, flushed).await.is_err() {
            tracing::warn!("the scheduler does not take all that is to be sent to it; leaving it");
        }
        tokio::time::sleep(FAREWELL).await;
    }
}
