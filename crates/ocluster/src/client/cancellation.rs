//! The cancellation of a job that is followed, after Ctrl-C.

use std::cell::Cell;
use std::time::Duration;

use cluster_client::{DurableError, DurableJob};
use tokio::time::timeout;

use cli::error::CommandError;
use cli::interrupt::Interrupt;

/// How long a job may take to be cancelled, with the rest of its log.
pub(super) const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// The cancellation of a job that is followed.
pub(super) struct Cancellation<'a> {
    job: &'a DurableJob,
    /// Whether the scheduler has answered.
    is_answered: Cell<bool>,
}

impl<'a> Cancellation<'a> {
    pub(super) fn new(job: &'a DurableJob) -> Self {
        Self {
            job,
            is_answered: Cell::new(false),
        }
    }

    /// Cancels the job, while `following` shows the rest of its log. Returns what to print about it.
    pub(super) async fn run(&self, following: impl Future) -> &'static str {
        let cancel = async {
            let cancelled = self.job.cancel().await;
            self.is_answered.set(true);
            cancelled
        };
        let cancelled = futures::future::join(cancel, following);
        match timeout(CANCEL_TIMEOUT, cancelled).await {
            Ok((Ok(()), _)) => "Interrupted: the job was cancelled.",
            Ok((Err(DurableError::Refused(_)), _)) => "Interrupted: the job had already ended.",
            Ok((Err(_), _)) => "Interrupted: the job could not be cancelled.",
            Err(_) => "Interrupted: the job was asked to stop, but has not ended yet.",
        }
    }

    /// Returns the failure of the interrupted command. The message is for a scheduler that has answered.
    pub(super) fn ended(&self, interrupt: Interrupt, message: &str) -> CommandError {
        match self.job.id() {
            Some(id) if !self.is_answered.get() => {
                let message = "Interrupted: the scheduler does not answer, so the job may go on.";
                CommandError::interrupted(interrupt, message).hint(format_args!(
                    "cancel it later with: ocluster-client cancel CAP {id}"
                ))
            }
            _ => CommandError::interrupted(interrupt, message),
        }
    }
}
