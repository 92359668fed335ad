//! All that is known of a durable job but its description.

use std::time::Duration;

use crate::details::millis;
use crate::raw::extensions_capnp::jobs_admin::{attempt, details};
use crate::text::{check_length, list_length, malformed, text};
use crate::{DurableStatus, JobSummary, RpcError};

/// A durable job, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDetails {
    /// As in lists.
    pub summary: JobSummary,
    /// The client that submitted it.
    pub client: String,
    /// What the client calls the submission.
    pub key: Option<String>,
    /// Whether it is urgent.
    pub urgent: bool,
    /// Its cache hint; empty for none.
    pub cache_hint: String,
    /// How far it has come.
    pub status: DurableStatus,
    /// Its attempts, the first one first.
    pub attempts: Vec<AttemptDetails>,
}

/// An attempt of a durable job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptDetails {
    /// Its number.
    pub number: u32,
    /// Who ran it.
    pub worker: String,
    /// How long ago the worker was chosen.
    pub started_ago: Duration,
    /// How much of its log is kept, in bytes.
    pub log_length: u64,
    /// How it ended; `None` while it has not, or if that was never known.
    pub end: Option<AttemptEnd>,
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// How, in a word: `succeeded`, `failed`, `timed-out`, `refused`, `stopped` or `lost`.
    pub word: String,
    /// How long ago.
    pub ago: Duration,
    /// More about it, for people; empty for nothing more.
    pub detail: String,
}

impl JobDetails {
    pub(super) fn read(reader: details::Reader<'_>) -> Result<Self, RpcError> {
        let attempts = reader
            .get_attempts()
            .map_err(|error| malformed(&error, "job.attempts"))?;
        check_length(reader.total_size(), attempts.len(), "job.attempts")?;
        let summary = reader
            .get_summary()
            .map_err(|error| malformed(&error, "job.summary"))?;
        let status = reader
            .get_status()
            .map_err(|error| malformed(&error, "job.status"))?;
        Ok(Self {
            summary: JobSummary::read(summary)?,
            client: text(reader.get_client(), "job.client")?,
            key: Some(text(reader.get_key(), "job.key")?).filter(|key| !key.is_empty()),
            urgent: reader.get_urgent(),
            cache_hint: text(reader.get_cache_hint(), "job.cacheHint")?,
            status: DurableStatus::read(status)?,
            attempts: attempts
                .iter()
                .map(AttemptDetails::read)
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn write(self, mut builder: details::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            summary,
            client,
            key,
            urgent,
            cache_hint,
            status,
            attempts,
        } = self;
        summary.write(builder.reborrow().init_summary())?;
        status.write(builder.reborrow().init_status())?;
        builder.set_client(&client);
        builder.set_key(key.as_deref().unwrap_or_default());
        builder.set_urgent(urgent);
        builder.set_cache_hint(&cache_hint);
        let mut list = builder.init_attempts(list_length(&attempts, "job.attempts")?);
        for (index, attempt) in (0..).zip(attempts) {
            attempt.write(list.reborrow().get(index));
        }
        Ok(())
    }
}

impl AttemptDetails {
    fn read(reader: attempt::Reader<'_>) -> Result<Self, RpcError> {
        let end = AttemptEnd {
            word: text(reader.get_end(), "attempt.end")?,
            ago: Duration::from_millis(reader.get_ended_ago()),
            detail: text(reader.get_detail(), "attempt.detail")?,
        };
        Ok(Self {
            number: reader.get_number(),
            worker: text(reader.get_worker(), "attempt.worker")?,
            started_ago: Duration::from_millis(reader.get_started_ago()),
            log_length: reader.get_log_length(),
            end: Some(end).filter(|end| !end.word.is_empty()),
        })
    }

    fn write(self, mut builder: attempt::Builder<'_>) {
        builder.set_number(self.number);
        builder.set_worker(&self.worker);
        builder.set_started_ago(millis(self.started_ago));
        builder.set_log_length(self.log_length);
        if let Some(AttemptEnd { word, ago, detail }) = self.end {
            builder.set_end(&word);
            builder.set_ended_ago(millis(ago));
            builder.set_detail(&detail);
        }
    }
}
