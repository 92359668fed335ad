//! What is known of a durable job, but for its description.

use std::fmt;
use std::time::Duration;

use super::list::JobSummary;
use super::status::DurableStatus;
use crate::RpcError;
use crate::details::millis;
use crate::durable::MAX_NAME_BYTES;
use crate::raw::extensions_capnp::durable_job::{AttemptResult as RawResult, attempt, details};
use crate::text::{check_length, list_length, long_text, malformed, text};

/// What is known of a durable job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableDetails {
    /// What lists have of it.
    pub summary: JobSummary,
    /// Its status.
    pub status: DurableStatus,
    /// What its client calls the submission.
    pub key: Option<String>,
    /// Whether it goes before all jobs that are not urgent.
    pub urgent: bool,
    /// Its attempts, the first one first. Of very many, the latest.
    pub attempts: Vec<DurableAttempt>,
    /// Whether it can be retried: it has ended, did not succeed, and its description is still kept.
    pub retryable: bool,
}

/// One run of a durable job by a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableAttempt {
    /// Its number.
    pub number: u32,
    /// The worker's name.
    pub worker: String,
    /// How long ago the worker was chosen.
    pub started_ago: Duration,
    /// How much of its log is kept so far, in bytes.
    pub log_length: u64,
    /// How it ended; `None` while it has not.
    pub end: Option<DurableAttemptEnd>,
}

/// The end of a run of a durable job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableAttemptEnd {
    /// How long after its start.
    pub after: Duration,
    /// How.
    pub result: AttemptResult,
    /// More about it, for people; empty for nothing more.
    pub detail: String,
}

/// How a run of a durable job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    /// Not known: it was given up when its job ended.
    Unknown,
    /// It succeeded.
    Succeeded,
    /// It ran, and failed.
    Failed,
    /// Its worker stopped it, because it took too long.
    TimedOut,
    /// No worker can run it.
    Refused,
    /// It was cancelled.
    Stopped,
    /// It was lost with its worker.
    Lost,
}

impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        })
    }
}

impl DurableDetails {
    pub(crate) fn read(reader: details::Reader<'_>) -> Result<Self, RpcError> {
        let summary = reader.get_summary();
        let status = reader.get_status();
        let attempts = reader
            .get_attempts()
            .map_err(|error| malformed(&error, "attempts"))?;
        check_length(reader.total_size(), attempts.len(), "attempts")?;
        Ok(Self {
            summary: JobSummary::read(summary.map_err(|error| malformed(&error, "summary"))?)?,
            status: DurableStatus::read(status.map_err(|error| malformed(&error, "status"))?)?,
            key: Some(long_text(reader.get_key(), "key", MAX_NAME_BYTES)?)
                .filter(|key| !key.is_empty()),
            urgent: reader.get_urgent(),
            attempts: attempts
                .iter()
                .map(DurableAttempt::read)
                .collect::<Result<_, _>>()?,
            retryable: reader.get_retryable(),
        })
    }

    pub(crate) fn write(self, mut builder: details::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            summary,
            status,
            key,
            urgent,
            attempts,
            retryable,
        } = self;
        summary.write(builder.reborrow().init_summary())?;
        status.write(builder.reborrow().init_status())?;
        builder.set_key(key.as_deref().unwrap_or_default());
        builder.set_urgent(urgent);
        builder.set_retryable(retryable);
        let mut list = builder.init_attempts(list_length(&attempts, "attempts")?);
        for (index, attempt) in (0..).zip(attempts) {
            attempt.write(list.reborrow().get(index));
        }
        Ok(())
    }
}

impl DurableAttempt {
    fn read(reader: attempt::Reader<'_>) -> Result<Self, RpcError> {
        let end = match reader.which() {
            Ok(attempt::Running(())) => None,
            Ok(attempt::Ended(ended)) => Some(DurableAttemptEnd {
                after: Duration::from_millis(ended.get_after()),
                result: AttemptResult::read(ended.get_result()),
                detail: text(ended.get_detail(), "attempt.detail")?,
            }),
            Err(capnp::NotInSchema(tag)) => {
                return Err(RpcError::failed(format!("Unknown end {tag} of an attempt")));
            }
        };
        Ok(Self {
            number: reader.get_number(),
            worker: text(reader.get_worker(), "attempt.worker")?,
            started_ago: Duration::from_millis(reader.get_started_ago()),
            log_length: reader.get_log_length(),
            end,
        })
    }

    fn write(self, mut builder: attempt::Builder<'_>) {
        builder.set_number(self.number);
        builder.set_worker(&self.worker);
        builder.set_started_ago(millis(self.started_ago));
        builder.set_log_length(self.log_length);
        match self.end {
            None => builder.set_running(()),
            Some(DurableAttemptEnd {
                after,
                result,
                detail,
            }) => {
                let mut ended = builder.init_ended();
                ended.set_after(millis(after));
                ended.set_result(result.on_the_wire());
                ended.set_detail(&detail);
            }
        }
    }
}

impl AttemptResult {
    /// A result that this program does not know is one that is not known.
    fn read(result: Result<RawResult, capnp::NotInSchema>) -> Self {
        match result {
            Ok(RawResult::Succeeded) => Self::Succeeded,
            Ok(RawResult::Failed) => Self::Failed,
            Ok(RawResult::TimedOut) => Self::TimedOut,
            Ok(RawResult::Refused) => Self::Refused,
            Ok(RawResult::Stopped) => Self::Stopped,
            Ok(RawResult::Lost) => Self::Lost,
            Ok(RawResult::Unknown) | Err(capnp::NotInSchema(_)) => Self::Unknown,
        }
    }

    fn on_the_wire(self) -> RawResult {
        match self {
            Self::Unknown => RawResult::Unknown,
            Self::Succeeded => RawResult::Succeeded,
            Self::Failed => RawResult::Failed,
            Self::TimedOut => RawResult::TimedOut,
            Self::Refused => RawResult::Refused,
            Self::Stopped => RawResult::Stopped,
            Self::Lost => RawResult::Lost,
        }
    }
}
