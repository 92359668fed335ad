//! How a worker ends: it takes no more jobs, waits for the running ones, and cancels those that take too long.

use std::time::Duration;

use cluster_api::PauseReason;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use visible::counted;

use super::{Agent, Exit};
use crate::activity::Activity;

/// The grace period for running jobs to stop, and for their last output to be sent, when the worker ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(15);

/// How long the connection stays open after that, so that the last data arrives and clients can read the ends of logs.
const CLOSE_DELAY: Duration = Duration::from_millis(200);

/// The interval of log lines about running jobs, if their number does not change.
const REMINDER: Duration = Duration::from_secs(30);

/// How a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It cancels the running jobs.
    AtOnce,
    /// It takes no more jobs, and waits for the running ones.
    Drain {
        /// It cancels those that have not ended after this time.
        within: Duration,
    },
}

impl From<()> for Ending {
    fn from((): ()) -> Self {
        Self::AtOnce
    }
}

/// Whether jobs may arrive.
#[derive(Default)]
pub(crate) struct Intake {
    /// Set when the worker takes no more.
    closing: watch::Sender<bool>,
    /// Whether the scheduler may still assign one.
    is_open: watch::Sender<bool>,
}

/// A connection over which jobs arrive, until dropped.
pub(super) struct Open<'a>(&'a Intake);

impl Intake {
    pub(super) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Records that jobs may arrive from now on.
    pub(super) fn open(&self) -> Open<'_> {
        self.is_open.send_replace(true);
        Open(self)
    }

    fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until the worker takes no more jobs.
    async fn closing(&self) {
        // `self` holds the senders, so a wait cannot end early.
        drop(self.closing.subscribe().wait_for(|closing| *closing).await);
    }

    /// Waits until no more jobs can arrive.
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
    /// Pauses the worker when it drains, so that the scheduler assigns its queued jobs to others at once.
    /// Returns why that failed.
    pub(super) async fn close_intake(&self, activity: &Activity<'_>) -> String {
        self.intake.closing().await;
        let reason = PauseReason::new("shutting-down", "the worker is shutting down", "");
        if let Err(error) = activity.pause(reason).await {
            return error.to_string();
        }
        // A job that was sent before the answer has arrived by now, and must be started before the intake closes.
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
                let running = counted(self.running.load().jobs, "job");
                tracing::warn!("{running} still running after {} s; cancelling", within.as_secs());
            }
            () = self.log_waiting_jobs(deadline) => {}
        }
    }

    /// Logs how many jobs are running and how much time they have left: at once, when the number changes, and
    /// regularly. Never ends.
    async fn log_waiting_jobs(&self, deadline: Instant) {
        let mut changes = self.running.changes();
        loop {
            let running = self.running.load().jobs;
            if running > 0 {
                let left = deadline.saturating_duration_since(Instant::now());
                tracing::info!(
                    "Waiting for {} to end, for up to {} s",
                    counted(running, "job"),
                    left.as_secs_f64().ceil()
                );
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(REMINDER) => {}
            }
        }
    }

    /// Stops the running jobs, and waits until their clients have been informed: `flushed` ends when all data for them
    /// has been sent.
    pub(super) async fn wind_down(&self, exit: Exit, flushed: impl Future<Output = ()>) {
        tracing::info!(
            "Shutting down ({exit:?}); jobs running: {}",
            self.running.load().jobs
        );
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        self.running.cancel_all();
        if timeout_at(deadline, self.running.idle()).await.is_err() {
            tracing::warn!("Some jobs did not stop in time; exiting anyway");
        }
        // A job's result is sent after all of the log that its client has asked for.
        if timeout_at(deadline, flushed).await.is_err() {
            tracing::warn!("The scheduler had not received all data in time; exiting anyway");
        }
        tokio::time::sleep(CLOSE_DELAY).await;
    }
}
