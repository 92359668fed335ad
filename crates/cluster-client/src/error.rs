//! The ways in which a job can end without output. Each is shown on one line, as reasons come from other machines.

use std::sync::Arc;

use vat::ConnectError;
use visible::OneLine;

/// Why a job has no output.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// It ran and failed. Its log explains why, and another attempt would most likely fail in the same way.
    #[error("{}", OneLine(.0))]
    Failed(
        /// The worker's short reason, such as `Build failed`.
        String,
    ),
    /// The scheduler did not accept it: there is no such pool, the client was removed, the description is too large.
    #[error("the scheduler refused the job: {}", OneLine(.0))]
    Refused(
        /// The scheduler's reason.
        String,
    ),
    /// This program cancelled it.
    #[error("cancelled")]
    Cancelled,
    /// An operator cancelled it, in the queue or while it ran. (A worker that is upstream's, or older, does not report
    /// this.)
    #[error("cancelled by an operator")]
    CancelledByOperator,
    /// Its worker was lost too often, so the job may be the cause.
    #[error(
        "given up after {workers} lost workers that had the job, the last one with: {}; \
         the job may be crashing its workers",
        OneLine(.reason)
    )]
    Lost {
        /// How many workers were lost with it.
        workers: u32,
        /// How the last one was lost.
        reason: String,
    },
    /// There was no connection to the scheduler for
    /// [`Options::reconnect_timeout`](crate::Options::reconnect_timeout), or there can be none with this sturdy ref.
    #[error("no connection to the scheduler: {0}")]
    NoConnection(#[source] Arc<ConnectError>),
}
