//! What `ocluster-client` prints about jobs that the scheduler keeps. `ocluster-admin` prints the same, and more.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_api::{AttemptResult, DurableAttempt, DurableDetails, DurableStage, JobSummary, Label};
use schemars::JsonSchema;
use serde::Serialize;

use crate::outcome;
use cli::failure::Reason;

/// The jobs of this client that the scheduler keeps, the latest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeptJobs {
    /// The jobs.
    pub(crate) jobs: Vec<KeptJob>,
    /// Whether there are more than `--limit`.
    pub(crate) more: bool,
}

/// A job that the scheduler keeps.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeptJob {
    /// Its id.
    id: String,
    /// Its state: `queued`, `running`, `succeeded`, `failed`, `cancelled`, `timed-out` or `lost`.
    state: String,
    /// The name of its pool.
    pool: String,
    /// Its kind: `docker`, `obuilder`, or that of a custom job.
    kind: String,
    /// Its labels.
    labels: BTreeMap<String, String>,
    /// How long ago it was submitted.
    submitted_ago_seconds: f64,
    /// How long ago it began to wait, was given to a worker, or ended.
    changed_ago_seconds: f64,
    /// How many attempts there were.
    attempts: u32,
    /// The worker of its latest attempt; null before the first.
    worker: Option<String>,
    /// Whether it ends with the connection of its client or its worker. Others are durable.
    attached: bool,
}

/// All about a job that the scheduler keeps.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DescribedJob {
    /// What lists have of it.
    #[serde(flatten)]
    job: KeptJob,
    /// The key of its submission; null if it has none. Without `--key`, it is random.
    key: Option<String>,
    /// Whether it goes before all jobs that are not urgent.
    urgent: bool,
    /// How many jobs are ahead of it; null unless it is queued.
    ahead: Option<u32>,
    /// Why no worker takes jobs, for people; null unless it is queued, and if some do.
    obstacle: Option<String>,
    /// How long its worker, which has lost its connection, has to return; null unless one has.
    worker_returns_within_seconds: Option<f64>,
    /// Its output; null unless it succeeded.
    output: Option<String>,
    /// Why it did not succeed; null unless it ended like that.
    error: Option<Reason>,
    /// Whether it can be retried.
    retryable: bool,
    /// Its attempts, the first one first.
    runs: Vec<Run>,
}

/// A run of a job by a worker.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Run {
    /// The number of the attempt.
    attempt: u32,
    /// The name of the worker.
    worker: String,
    /// How long ago it was given to the worker.
    started_ago_seconds: f64,
    /// How long it took; null while it has not ended.
    ran_seconds: Option<f64>,
    /// Why it was lost with its worker; null unless it was.
    lost: Option<String>,
    /// How much of its log is kept so far, in bytes.
    log_bytes: u64,
    /// How it ended; null while it has not, and if that is not known.
    end: Option<RunEnd>,
}

/// The end of a run of a job by a worker.
#[derive(Debug, Serialize, JsonSchema)]
struct RunEnd {
    /// How: `succeeded`, `failed`, `timed-out`, `refused`, `stopped` or `lost`.
    result: String,
    /// How long ago.
    ended_ago_seconds: f64,
    /// More about it, for people; empty for nothing more.
    detail: String,
}

/// The end of a job that was waited for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EndedJob {
    /// Its id; null for the job of a shared cap file.
    pub(crate) id: Option<String>,
    /// Its state: `succeeded`, `failed`, `cancelled`, `timed-out` or `lost`.
    pub(crate) state: String,
    /// Its output; null unless it succeeded.
    pub(crate) output: Option<String>,
    /// Why it did not succeed; null if it did.
    pub(crate) error: Option<Reason>,
}

/// The jobs that were cancelled.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CancelledKeptJobs {
    /// Their ids.
    pub(crate) jobs: Vec<String>,
}

/// A cap file that shows one job.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SharedJob {
    /// The id of the job.
    pub(crate) id: String,
    /// The contents of the cap file. It is a secret.
    pub(crate) sturdy_ref: String,
}

impl KeptJob {
    pub(crate) fn of(job: &JobSummary) -> Self {
        let JobSummary {
            id,
            pool,
            kind,
            labels,
            state,
            submitted_ago,
            changed_ago,
            attempts,
            worker,
            attached,
        } = job;
        let labels = labels
            .iter()
            .map(|Label { name, value }| (name.clone(), value.clone()));
        Self {
            id: id.clone(),
            state: state.to_string(),
            pool: pool.clone(),
            kind: kind.clone(),
            labels: labels.collect(),
            submitted_ago_seconds: seconds(*submitted_ago),
            changed_ago_seconds: seconds(*changed_ago),
            attempts: *attempts,
            worker: worker.clone(),
            attached: *attached,
        }
    }
}

impl DescribedJob {
    pub(crate) fn of(details: &DurableDetails) -> Self {
        let DurableDetails {
            summary,
            status,
            key,
            urgent,
            attempts,
            retryable,
        } = details;
        let (ahead, obstacle) = match &status.stage {
            DurableStage::Queued { ahead, obstacle } => (Some(*ahead), obstacle.clone()),
            _ => (None, None),
        };
        let returns = match &status.stage {
            DurableStage::Away { remaining, .. } => Some(seconds(*remaining)),
            _ => None,
        };
        let (output, error) = match outcome::of_stage(&status.stage) {
            Some(Ok(output)) => (Some(output), None),
            Some(Err(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        Self {
            job: KeptJob::of(summary),
            key: key.clone(),
            urgent: *urgent,
            ahead,
            obstacle,
            worker_returns_within_seconds: returns,
            output,
            error,
            retryable: *retryable,
            runs: attempts.iter().map(Run::of).collect(),
        }
    }
}

impl Run {
    fn of(attempt: &DurableAttempt) -> Self {
        let DurableAttempt {
            number,
            worker,
            started_ago,
            log_length,
            end,
        } = attempt;
        let end = end.as_ref();
        let lost = end.filter(|end| end.result == AttemptResult::Lost);
        let known = end.filter(|end| end.result != AttemptResult::Unknown);
        Self {
            attempt: *number,
            worker: worker.clone(),
            started_ago_seconds: seconds(*started_ago),
            ran_seconds: end.map(|end| seconds(end.after)),
            lost: lost.map(|end| end.detail.clone()),
            log_bytes: *log_length,
            end: known.map(|end| RunEnd {
                result: end.result.to_string(),
                ended_ago_seconds: seconds(started_ago.saturating_sub(end.after)),
                detail: end.detail.clone(),
            }),
        }
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
