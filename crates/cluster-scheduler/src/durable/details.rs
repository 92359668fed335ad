//! What operators see of the jobs of all clients.

use std::time::Duration;

use cluster_api::{
    AdminJobQuery, AttemptDetails, AttemptEnd as WireEnd, DurableStage, DurableStatus, JobDetails,
    ListedJob, ListedJobs, RpcError,
};
use job_store::{AttemptRecord, Query, Reader as _};
use jobs::{AttemptEnd, CancelledBy, JobId, Verdict};
use pool::{ClientId, Time};
use visible::{Shown, shortened};

use super::describe::Found;
use super::{DurableJobs, convert};

impl DurableJobs {
    /// Returns a page of the jobs of all clients.
    pub(crate) async fn list_all(&self, query: AdminJobQuery) -> Result<ListedJobs, RpcError> {
        let now = self.clock.unix_now();
        let AdminJobQuery { jobs, client, pool } = query;
        let Ok(client) = client.map(|client| ClientId::new(&client)).transpose() else {
            // There is no such client.
            return Ok(ListedJobs {
                jobs: Vec::new(),
                next: None,
            });
        };
        let query = Query {
            pool,
            ..convert::query(client, jobs, now)
        };
        let page = self.read(move |reader| reader.page(&query)).await?;
        let listed = page.records.iter().map(|record| ListedJob {
            summary: convert::summary(record, now),
            client: record.client.clone(),
        });
        Ok(ListedJobs {
            jobs: listed.collect(),
            next: page.next.map(job_store::Cursor::number),
        })
    }

    /// Returns the job of any client whose id this is, or whose id alone begins like this.
    pub(crate) async fn find_any(&self, id: &str) -> Result<JobId, RpcError> {
        let shown = Shown(id).to_string();
        let unknown = || {
            RpcError::failed(format!(
                "there is no job {shown:?}; list the jobs to see their ids"
            ))
        };
        let (first, last) = JobId::beginning_with(id).ok_or_else(unknown)?;
        let found = self
            .read(move |reader| reader.all_in_range(first..=last, 2))
            .await?;
        match *found {
            [job] => Ok(job),
            [] => Err(unknown()),
            _ => Err(RpcError::failed(format!(
                "several jobs begin with {shown:?}; use more of the id"
            ))),
        }
    }

    /// Returns all that is known of a job.
    pub(crate) async fn details(&self, id: &str) -> Result<JobDetails, RpcError> {
        let job = self.find_any(id).await?;
        let status = self.watch(job, None).await.unwrap_or_else(waiting);
        let found = self.found(job).await?;
        Ok(job_details(found, status, self.clock.unix_now()))
    }

    /// Cancels a job for an operator, as [`cancel`](Self::cancel) does for its client.
    pub(crate) async fn cancel_for_operator(&self, id: &str) -> Result<JobId, RpcError> {
        let job = self.find_any(id).await?;
        self.cancel_by(job, CancelledBy::Operator).await?;
        Ok(job)
    }
}

/// Returns the status of a job that this scheduler cannot run at present.
fn waiting(error: RpcError) -> DurableStatus {
    DurableStatus {
        version: 0,
        stage: DurableStage::Queued {
            ahead: 0,
            obstacle: Some(error.reason),
        },
    }
}

fn job_details(found: Found, status: DurableStatus, now: Time) -> JobDetails {
    let Found {
        record,
        log_lengths,
        ..
    } = found;
    let summary = convert::summary(&record, now);
    let attempts = record.attempts.into_iter().zip(log_lengths);
    JobDetails {
        summary,
        client: record.client,
        key: record.key.map(|key| key.as_str().to_owned()),
        urgent: record.urgent,
        cache_hint: record.hint,
        status,
        attempts: attempts
            .map(|(attempt, length)| attempt_details(attempt, length, now))
            .collect(),
    }
}

fn attempt_details(attempt: AttemptRecord, log_length: u64, now: Time) -> AttemptDetails {
    let ago = |time: Time| Duration::try_from_secs_f64(now.secs_after(time)).unwrap_or_default();
    AttemptDetails {
        number: attempt.number,
        worker: attempt.worker,
        started_ago: ago(attempt.started),
        log_length,
        end: attempt.end.map(|(end, at)| attempt_end(&end, ago(at))),
    }
}

fn attempt_end(end: &AttemptEnd, ago: Duration) -> WireEnd {
    let (word, detail) = match end {
        AttemptEnd::Done(Verdict::Succeeded(output)) => ("succeeded", output.to_string()),
        AttemptEnd::Done(Verdict::Failed { detail, exit_code }) => {
            ("failed", failure(detail, *exit_code))
        }
        AttemptEnd::Done(Verdict::TimedOut { detail }) => ("timed-out", detail.to_string()),
        AttemptEnd::Done(Verdict::Refused { reason }) => ("refused", reason.to_string()),
        AttemptEnd::Stopped => ("stopped", String::new()),
        AttemptEnd::Lost(reason) => ("lost", convert::loss_reason(reason)),
    };
    WireEnd {
        word: word.to_owned(),
        ago,
        detail: shortened(&detail, MAX_DETAIL_BYTES).into_owned(),
    }
}

fn failure(detail: &str, exit_code: Option<u8>) -> String {
    match (detail, exit_code) {
        ("", Some(code)) => format!("exit code {code}"),
        ("", None) => String::new(),
        (detail, _) => detail.to_owned(),
    }
}

/// The longest detail of an end, in bytes. A job's output may be far longer.
const MAX_DETAIL_BYTES: usize = 4 << 10;
