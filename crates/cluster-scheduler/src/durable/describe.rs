//! What clients and operators are told of a job, but for its description.

use std::time::Duration;

use cluster_api::{DurableAttempt, DurableAttemptEnd, DurableDetails, RpcError};
use job_store::logs::LogError;
use job_store::{AttemptRecord, Reader as _, Record, State};
use jobs::{AttemptEnd, AttemptId, JobId};
use pool::Time;

use super::store_thread::Kept;
use super::{DurableJobs, convert, ending};

/// The most attempts that are described: the latest ones.
const MAX_ATTEMPTS: usize = 1000;

/// What is on disk of a job.
pub(super) struct Found {
    pub(super) record: Record,
    /// The lengths of the logs of its attempts, in the same order.
    pub(super) log_lengths: Vec<u64>,
    has_description: bool,
}

impl DurableJobs {
    /// Returns what is known of a job.
    pub(crate) async fn describe(&self, job: JobId) -> Result<DurableDetails, RpcError> {
        let found = self.found(job).await?;
        let status = self.watch(job, None).await?;
        let now = self.clock.unix_now();
        let Found {
            record,
            log_lengths,
            has_description,
        } = found;
        let may_be_retried = !matches!(
            record.state,
            State::Queued | State::Running | State::Succeeded
        );
        let attempts = record.attempts.iter().zip(log_lengths);
        Ok(DurableDetails {
            summary: convert::summary(&record, now),
            status,
            key: record.key.as_ref().map(|key| key.as_str().to_owned()),
            urgent: record.urgent,
            attempts: attempts
                .map(|(attempt, length)| described(attempt, length, &record, now))
                .collect(),
            retryable: may_be_retried && has_description,
        })
    }

    /// Returns what is on disk of a job.
    pub(super) async fn found(&self, job: JobId) -> Result<Found, RpcError> {
        let read = self.read(move |reader| {
            let has_description = reader.description(job)?.is_some();
            let record = reader.record(job)?;
            Ok(record.map(|record| (record, has_description)))
        });
        let Some((mut record, has_description)) = read.await? else {
            return Err(RpcError::failed("the job is not kept any more"));
        };
        let older = record.attempts.len().saturating_sub(MAX_ATTEMPTS);
        record.attempts.drain(..older);
        let numbers = record.attempts.iter().map(|attempt| attempt.number);
        let attempts: Vec<_> = numbers.map(|number| AttemptId { job, number }).collect();
        let lengths = self.store.run(move |kept| {
            let length = |attempt| log_length(kept, attempt);
            attempts.into_iter().map(length).collect::<Vec<u64>>()
        });
        Ok(Found {
            record,
            log_lengths: lengths.await.ok_or_else(ending)?,
            has_description,
        })
    }
}

fn log_length(kept: &Kept, attempt: AttemptId) -> u64 {
    match kept.logs.length(attempt) {
        Ok(length) => length,
        Err(LogError::Missing(_)) => 0,
        Err(error) => {
            tracing::warn!(target: "scheduler", "Cannot tell how long the log of {attempt} is: {error}");
            0
        }
    }
}

fn described(
    attempt: &AttemptRecord,
    log_length: u64,
    record: &Record,
    now: Time,
) -> DurableAttempt {
    let since = |begin: Time, end: Time| {
        Duration::try_from_secs_f64(end.secs_after(begin)).unwrap_or_default()
    };
    let after = |end: Time| since(attempt.started, end);
    let end = match (&attempt.end, &record.end) {
        (Some((AttemptEnd::Lost(reason), at)), _) => DurableAttemptEnd::Lost {
            after: after(*at),
            reason: convert::loss_reason(reason),
        },
        (Some((_, at)), _) => DurableAttemptEnd::Ended { after: after(*at) },
        // It was given up with the end of its job.
        (None, Some((_, at))) => DurableAttemptEnd::Ended { after: after(*at) },
        (None, None) => DurableAttemptEnd::Running,
    };
    DurableAttempt {
        number: attempt.number,
        worker: attempt.worker.clone(),
        started_ago: since(attempt.started, now),
        log_length,
        end,
    }
}
