//! The ways in which a job can end without output. Shown, each is one line: reasons come from other machines.

use std::sync::Arc;

use vat::ConnectError;
use visible::OneLine;

/// Why a job has no output.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// It was run, and failed; its log says why. Running it again would most likely end in the same.
    #[error("{}", OneLine(.0))]
    Failed(
        /// What the worker says in short, such as `Build failed`.
        String,
    ),
    /// The scheduler did not take it: there is no such pool, the client has been removed, the description is too large.
    #[error("the scheduler refused the job: {}", OneLine(.0))]
    Refused(
        /// What the scheduler says.
        String,
    ),
    /// It was cancelled here.
    #[error("cancelled")]
    Cancelled,
    /// An operator cancelled it while it ran. (A worker that is upstream's, or older, does not report this.)
    #[error("cancelled by an operator")]
    CancelledByOperator,
    /// Its worker was lost too often, so that it may be the job's fault.
    #[error(
        "given up after {workers} workers that had the job were lost, the last one like this: {}; \
         see whether the job takes its machine down",
        OneLine(.reason)
    )]
    Lost {
        /// How many workers were lost with it.
        workers: u32,
        /// How the last one was.
        reason: String,
    },
    /// There is no connection to the scheduler, and there was none for [`Options::patience`](crate::Options::patience);
    /// or there can be none with this sturdy ref.
    #[error("no connection to the scheduler: {0}")]
    NoConnection(#[source] Arc<ConnectError>),
}
