//! How a job ended, as data.

use std::fmt;

use capnp::Word;
use capnp::message::{Builder, HeapAllocator};

use crate::RpcError;
use crate::raw::extensions_capnp::job_outcome::{CancelledBy as RawCancelledBy, outcome as raw};
use crate::text::{long_text, malformed, text};
use crate::words;

/// The limit for the output of a job, in bytes. Outputs are short: the name of an image, or the id of a result.
pub const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// The limit for an outcome that is kept as bytes: an output, and some words around it.
const MAX_KEPT_BYTES: usize = MAX_OUTPUT_BYTES + (64 << 10);

/// How a job ended.
///
/// [`Outcome::of_error`] reads it from the text of an exception, and [`Outcome::into_result`] writes that text, for
/// peers that do not know [`Job::outcome`](crate::Job::outcome).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The job succeeded, with this output: a pushed image's RepoId, OBuilder's result id, or nothing.
    Succeeded(String),
    /// The job ran, and failed.
    Failed {
        /// The limit that it reached; empty for any other failure, which its log explains.
        detail: String,
        /// The exit code of the command that failed; `None` when it is not known.
        exit_code: Option<u8>,
    },
    /// The job was stopped on request, or taken out of the backlog.
    Cancelled(CancelledBy),
    /// The worker stopped the job, because it took too long.
    TimedOut {
        /// The limit, in words.
        detail: String,
    },
    /// The worker cannot run such jobs at present. Another one may.
    WorkerUnfit {
        /// The problem of the worker.
        problem: String,
        /// Whether the job had begun, so that it may have caused the problem.
        had_begun: bool,
    },
    /// The worker stopped the job, because it is shutting down. Another one may run it.
    Abandoned,
    /// The connection to the worker or to the scheduler was lost, and the job with it.
    Lost {
        /// Which connection, and how.
        reason: String,
    },
    /// The worker has a bug, which its own log describes.
    Crashed,
    /// None of these: the scheduler refused the job, or a peer sent an error that this program does not know. See
    /// [`Refusal::of`](crate::Refusal::of).
    Other(RpcError),
}

/// Who cancelled a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelledBy {
    /// Not known. Upstream's workers also report this when they are shutting down.
    Unknown,
    /// The client cancelled the job, or released it, or lost its connection.
    Client,
    /// An operator cancelled the job, or removed its client.
    Operator,
}

impl fmt::Display for Outcome {
    /// Writes the outcome as one word, for logs and counters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded(_) => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled(_) => "cancelled",
            Self::TimedOut { .. } => "timed-out",
            Self::WorkerUnfit { .. } => "worker-unfit",
            Self::Abandoned => "abandoned",
            Self::Lost { .. } => "lost",
            Self::Crashed => "crashed",
            Self::Other(_) => "refused",
        })
    }
}

impl Outcome {
    /// Returns it as bytes, to keep it. An outcome that no worker can report is an error.
    ///
    /// # Errors
    /// For [`Lost`](Self::Lost) and [`Other`](Self::Other).
    pub fn to_bytes(&self) -> Result<Vec<u8>, RpcError> {
        let mut message = Builder::new(HeapAllocator::new());
        self.clone().write(message.init_root())?;
        let outcome = message.get_root_as_reader::<raw::Reader<'_>>()?;
        let size = outcome
            .total_size()
            .map_err(|error| malformed(&error, "outcome"))?;
        let words = words::copy::<raw::Owned>(size, outcome, MAX_KEPT_BYTES, "outcome")?;
        Ok(Word::words_to_bytes(&words).to_vec())
    }

    /// Returns what [`to_bytes`](Self::to_bytes) returned.
    ///
    /// # Errors
    /// When the bytes are no outcome.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RpcError> {
        if bytes.is_empty() {
            return Err(RpcError::failed("outcome is empty"));
        }
        let words = words::from_bytes(bytes);
        Self::read(words::read(&words).get_root()?)
    }

    pub(crate) fn read(reader: raw::Reader<'_>) -> Result<Self, RpcError> {
        match reader.which() {
            Ok(raw::Succeeded(output)) => {
                long_text(output, "outcome.output", MAX_OUTPUT_BYTES).map(Self::Succeeded)
            }
            Ok(raw::Failed(failed)) => Ok(Self::Failed {
                detail: text(failed.get_detail(), "outcome.detail")?,
                exit_code: Some(failed.get_exit_code()).filter(|code| *code != 0),
            }),
            Ok(raw::Cancelled(by)) => Ok(Self::Cancelled(CancelledBy::read(by))),
            Ok(raw::TimedOut(detail)) => Ok(Self::TimedOut {
                detail: text(detail, "outcome.detail")?,
            }),
            Ok(raw::WorkerUnfit(unfit)) => Ok(Self::WorkerUnfit {
                problem: text(unfit.get_problem(), "outcome.problem")?,
                had_begun: unfit.get_had_begun(),
            }),
            Ok(raw::Abandoned(())) => Ok(Self::Abandoned),
            Ok(raw::Crashed(())) => Ok(Self::Crashed),
            Err(capnp::NotInSchema(tag)) => Err(RpcError::failed(format!("Unknown outcome {tag}"))),
        }
    }

    /// Writes the outcome. An outcome that no worker can report is returned as its error.
    pub(crate) fn write(self, mut builder: raw::Builder<'_>) -> Result<(), RpcError> {
        match self {
            Self::Succeeded(output) => builder.set_succeeded(&output),
            Self::Failed { detail, exit_code } => {
                let mut failed = builder.init_failed();
                failed.set_detail(&detail);
                failed.set_exit_code(exit_code.unwrap_or(0));
            }
            Self::Cancelled(by) => builder.set_cancelled(by.to_raw()),
            Self::TimedOut { detail } => builder.set_timed_out(&detail),
            Self::WorkerUnfit { problem, had_begun } => {
                let mut unfit = builder.init_worker_unfit();
                unfit.set_problem(&problem);
                unfit.set_had_begun(had_begun);
            }
            Self::Abandoned => builder.set_abandoned(()),
            Self::Crashed => builder.set_crashed(()),
            Self::Lost { reason } => return Err(RpcError::disconnected(reason)),
            Self::Other(error) => return Err(error),
        }
        Ok(())
    }
}

impl CancelledBy {
    fn read(by: Result<RawCancelledBy, capnp::NotInSchema>) -> Self {
        match by {
            Ok(RawCancelledBy::Client) => Self::Client,
            Ok(RawCancelledBy::Operator) => Self::Operator,
            Ok(RawCancelledBy::Unknown) | Err(capnp::NotInSchema(_)) => Self::Unknown,
        }
    }

    fn to_raw(self) -> RawCancelledBy {
        match self {
            Self::Unknown => RawCancelledBy::Unknown,
            Self::Client => RawCancelledBy::Client,
            Self::Operator => RawCancelledBy::Operator,
        }
    }
}
