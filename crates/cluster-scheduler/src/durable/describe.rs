//! What clients are told of a job, but for its description.

use std::time::Duration;

use cluster_api::{DurableAttempt, DurableAttemptEnd, DurableDetails, RpcError};
use job_store::logs::LogError;
use job_store::{AttemptRecord, Reader as _, Record, State, StoreError};
use jobs::{AttemptEnd, AttemptId, JobId};
use pool::Time;

use super::store_thread::Kept;
use super::{DurableJobs, convert, ending};

/// The most attempts that are described: the latest ones.
const MAX_ATTEMPTS: usize = 1000;

/// What is on disk.
struct Found {
    record: Record,
    /// The lengths of the logs of its attempts, in the same order.
    log_lengths: Vec<u64>,
    has_description: bool,
}

impl DurableJobs {
    /// Returns what is known of a job.
    pub(crate) async fn describe(&self, job: JobId) -> Result<DurableDetails, RpcError> {
        let found = self.store.run(move |kept| find(kept, job)).await;
        let found = found.ok_or_else(ending)?.map_err(|error| {
            RpcError::failed(format!("cannot read the jobs that are kept: {error}"))
        })?;
        let Some(found) = found else {
            return Err(RpcError::failed("the job is not kept any more"));
        };
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
}

fn find(kept: &mut Kept, job: JobId) -> Result<Option<Found>, StoreError> {
    let Some(mut record) = kept.reader.record(job)? else {
        return Ok(None);
    };
    let older = record.attempts.len().saturating_sub(MAX_ATTEMPTS);
    record.attempts.drain(..older);
    let has_description = kept.reader.description(job)?.is_some();
    let lengths = record.attempts.iter().map(|attempt| {
        let number = attempt.number;
        match kept.logs.length(AttemptId { job, number }) {
            Ok(length) => length,
            Err(LogError::Missing(_)) => 0,
            Err(error) => {
                tracing::warn!(target: "scheduler", "Cannot tell how long a log is: {error}");
                0
            }
        }
    });
    Ok(Some(Found {
        log_lengths: lengths.collect(),
        record,
        has_description,
    }))
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
