//! What clients and operators see of a job, but for its description.

use std::time::Duration;

use cluster_api::{
    AttemptResult, Description, DurableAttempt, DurableAttemptEnd, DurableDetails, DurableStage,
    DurableStatus, EncodedDescription, JobDetails, RpcError, RpcErrorKind,
};
use job_store::logs::LogError;
use job_store::{AttemptRecord, Reader as _, Record, State};
use jobs::{AttemptEnd, AttemptId, JobId, Verdict};
use pool::Time;

use super::store_thread::Kept;
use super::{DurableJobs, convert, ending};

/// The most attempts that are described: the latest ones.
const MAX_ATTEMPTS: usize = 1000;

/// The longest detail of the end of an attempt, in bytes. A job's output may be far longer.
const MAX_DETAIL_BYTES: usize = 4 << 10;

/// What is kept of a job.
struct Found {
    record: Record,
    /// The lengths of the logs of its attempts, in the same order.
    log_lengths: Vec<u64>,
    has_description: bool,
}

impl DurableJobs {
    /// Returns what a client sees of its job.
    pub(crate) async fn describe(&self, job: JobId) -> Result<DurableDetails, RpcError> {
        self.known(job).await.map(|known| known.job)
    }

    /// Returns all that is known of a job.
    pub(crate) async fn known(&self, job: JobId) -> Result<JobDetails, RpcError> {
        let status = match self.watch(job, None).await {
            // Such as one whose pool this scheduler does not have.
            Err(error) if error.kind == RpcErrorKind::Failed => obstructed(error),
            status => status?,
        };
        let Found {
            record,
            log_lengths,
            has_description,
        } = self.found(job).await?;
        let now = self.clock.unix_now();
        let attempts = record.attempts.iter().zip(log_lengths);
        let attempts = attempts.map(|(attempt, length)| attempt_of(attempt, length, &record, now));
        let job = DurableDetails {
            summary: convert::summary(&record, now),
            status,
            key: record.key.as_ref().map(|key| key.as_str().to_owned()),
            urgent: record.urgent,
            attempts: attempts.collect(),
            retryable: may_be_retried(record.state) && has_description,
        };
        Ok(JobDetails {
            job,
            client: record.client,
            cache_hint: record.hint,
        })
    }

    /// Returns what was submitted; `None` if it is not kept any more.
    pub(crate) async fn kept_description(
        &self,
        job: JobId,
    ) -> Result<Option<Description>, RpcError> {
        let sealed = self.read(move |reader| reader.description(job)).await?;
        let Some(sealed) = sealed else {
            return Ok(None);
        };
        let opened = self.sealer.open(job, &sealed);
        let opened = opened.map_err(|error| RpcError::failed(error.to_string()))?;
        EncodedDescription::from_bytes(&opened)?.decode().map(Some)
    }

    /// Returns what is kept of a job.
    async fn found(&self, job: JobId) -> Result<Found, RpcError> {
        let kept = match self.attached.find(job) {
            Some(attached) => Some((attached.record().into(), false)),
            None => {
                let read = self.read(move |reader| {
                    let has_description = reader.description(job)?.is_some();
                    let record = reader.record(job)?;
                    Ok(record.map(|record| (record, has_description)))
                });
                read.await?
            }
        };
        let Some((mut record, has_description)) = kept else {
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

/// Returns the status of a job that this scheduler cannot run at present.
fn obstructed(error: RpcError) -> DurableStatus {
    DurableStatus {
        version: 0,
        stage: DurableStage::Queued {
            ahead: 0,
            obstacle: Some(error.reason),
        },
    }
}

fn may_be_retried(state: State) -> bool {
    !matches!(state, State::Queued | State::Running | State::Succeeded)
}

fn log_length(kept: &mut Kept, attempt: AttemptId) -> u64 {
    match kept.logs.length(attempt) {
        Ok(length) => length,
        // It is in a log store, or there is none.
        Err(LogError::Missing(_)) => {
            let known = kept.reader.log_length(attempt);
            known.ok().flatten().unwrap_or(0)
        }
        Err(error) => {
            tracing::warn!(target: "scheduler", "Cannot tell how long the log of {attempt} is: {error}");
            0
        }
    }
}

fn attempt_of(
    attempt: &AttemptRecord,
    log_length: u64,
    record: &Record,
    now: Time,
) -> DurableAttempt {
    let until = |end: Time| {
        Duration::try_from_secs_f64(end.secs_after(attempt.started)).unwrap_or_default()
    };
    let end = match (&attempt.end, &record.end) {
        (Some((end, at)), _) => Some((result(end), at)),
        // It was given up with the end of its job.
        (None, Some((_, at))) => Some(((AttemptResult::Unknown, String::new()), at)),
        (None, None) => None,
    };
    DurableAttempt {
        number: attempt.number,
        worker: attempt.worker.clone(),
        started_ago: until(now),
        log_length,
        end: end.map(|((result, detail), at)| DurableAttemptEnd {
            after: until(*at),
            result,
            detail: visible::shortened(&detail, MAX_DETAIL_BYTES).into_owned(),
        }),
    }
}

/// Returns how an attempt ended, and more about it for people.
fn result(end: &AttemptEnd) -> (AttemptResult, String) {
    match end {
        AttemptEnd::Done(Verdict::Succeeded(output)) => {
            (AttemptResult::Succeeded, output.to_string())
        }
        AttemptEnd::Done(Verdict::Failed { detail, exit_code }) => {
            (AttemptResult::Failed, failure(detail, *exit_code))
        }
        AttemptEnd::Done(Verdict::TimedOut { detail }) => {
            (AttemptResult::TimedOut, detail.to_string())
        }
        AttemptEnd::Done(Verdict::Refused { reason }) => {
            (AttemptResult::Refused, reason.to_string())
        }
        AttemptEnd::Stopped => (AttemptResult::Stopped, String::new()),
        AttemptEnd::Lost(reason) => (AttemptResult::Lost, convert::loss_reason(reason)),
    }
}

fn failure(detail: &str, exit_code: Option<u8>) -> String {
    match (detail, exit_code) {
        ("", Some(code)) => format!("exit code {code}"),
        ("", None) => String::new(),
        (detail, _) => detail.to_owned(),
    }
}
