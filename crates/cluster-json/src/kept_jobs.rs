//! What `ocluster-client` prints about jobs that the scheduler keeps. `ocluster-admin` prints the same, and more.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_api::{
    AttemptResult, DurableAttempt, DurableDetails, DurableStage, Explanation, JobSummary, Label,
    Phase,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::explanation::JobExplanation;
use crate::failure::Reason;
use crate::outcome;
use crate::phases::RunPhase;

/// The jobs of this client that the scheduler keeps, the latest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeptJobs {
    /// The jobs.
    pub jobs: Vec<KeptJob>,
    /// Whether there are more than `--limit`.
    pub more: bool,
}

/// A job that the scheduler keeps.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct KeptJob {
    /// Its id.
    pub id: String,
    /// Its state: `queued`, `running`, `succeeded`, `failed`, `cancelled`, `timed-out` or `lost`.
    pub state: String,
    /// The name of its pool.
    pub pool: String,
    /// Its kind: `docker`, `obuilder`, or that of a custom job.
    pub kind: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How long ago it was submitted.
    pub submitted_ago_seconds: f64,
    /// How long ago it began to wait, was given to a worker, or ended.
    pub changed_ago_seconds: f64,
    /// How many attempts there were.
    pub attempts: u32,
    /// The worker of its latest attempt; null before the first.
    pub worker: Option<String>,
    /// Whether it ends with the connection of its client or its worker. Others are durable.
    pub attached: bool,
}

/// All about a job that the scheduler keeps.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DescribedJob {
    /// What lists have of it.
    #[serde(flatten)]
    pub job: KeptJob,
    /// The key of its submission; null if it has none. Without `--key`, it is random.
    pub key: Option<String>,
    /// Whether it goes before all jobs that are not urgent.
    pub urgent: bool,
    /// How many jobs are ahead of it; null unless it is queued.
    pub ahead: Option<u32>,
    /// Why no worker takes jobs, for people; null unless it is queued, and if some do.
    pub obstacle: Option<String>,
    /// Why it waits; null unless it does, and if the scheduler does not report it.
    pub explanation: Option<JobExplanation>,
    /// How long its worker, which has lost its connection, has to return; null unless one has.
    pub worker_returns_within_seconds: Option<f64>,
    /// Its output; null unless it succeeded.
    pub output: Option<String>,
    /// Why it did not succeed; null unless it ended like that.
    pub error: Option<Reason>,
    /// Whether it can be retried.
    pub retryable: bool,
    /// Its attempts, the first one first.
    pub runs: Vec<Run>,
}

/// A run of a job by a worker.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Run {
    /// The number of the attempt.
    pub attempt: u32,
    /// The name of the worker.
    pub worker: String,
    /// How long ago it was given to the worker.
    pub started_ago_seconds: f64,
    /// How long it took; null while it has not ended.
    pub ran_seconds: Option<f64>,
    /// Why it was lost with its worker; null unless it was.
    pub lost: Option<String>,
    /// How much of its log is kept so far, in bytes.
    pub log_bytes: u64,
    /// How it ended; null while it has not, and if that is not known.
    pub end: Option<RunEnd>,
    /// Its phases, in the order in which they began. Empty if they are not known, or if ten attempts came after it.
    pub phases: Vec<RunPhase>,
}

/// The end of a run of a job by a worker.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RunEnd {
    /// How: `succeeded`, `failed`, `timed-out`, `refused`, `stopped` or `lost`.
    pub result: String,
    /// How long ago.
    pub ended_ago_seconds: f64,
    /// More about it, for people; empty for nothing more.
    pub detail: String,
}

/// The end of a job that was waited for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EndedJob {
    /// Its id; null for the job of a shared cap file.
    pub id: Option<String>,
    /// Its state: `succeeded`, `failed`, `cancelled`, `timed-out` or `lost`.
    pub state: String,
    /// Its output; null unless it succeeded.
    pub output: Option<String>,
    /// Why it did not succeed; null if it did.
    pub error: Option<Reason>,
}

/// The jobs that were cancelled.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CancelledKeptJobs {
    /// Their ids.
    pub jobs: Vec<String>,
}

/// A cap file that shows one job.
#[derive(Serialize, JsonSchema)]
pub struct SharedJob {
    /// The id of the job.
    pub id: String,
    /// The contents of the cap file. It is a secret.
    pub sturdy_ref: String,
}

impl KeptJob {
    /// Returns a job of a list.
    pub fn of(job: &JobSummary) -> Self {
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
    /// Returns all about a job.
    pub fn of(details: &DurableDetails) -> Self {
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
            explanation: None,
            worker_returns_within_seconds: returns,
            output,
            error,
            retryable: *retryable,
            runs: attempts.iter().map(Run::of).collect(),
        }
    }

    /// Returns it with the phases of an attempt.
    #[must_use]
    pub fn with_phases(mut self, attempt: u32, phases: &[Phase]) -> Self {
        let run = self.runs.iter_mut().find(|run| run.attempt == attempt);
        if let Some(run) = run {
            run.phases = phases.iter().map(RunPhase::of).collect();
        }
        self
    }
}

impl DescribedJob {
    /// Adds why the job waits, if it does.
    #[must_use]
    pub fn explained(mut self, explanation: Option<&Explanation>) -> Self {
        let waits = self.ahead.is_some() || self.worker_returns_within_seconds.is_some();
        let explanation = explanation.filter(|_| waits);
        self.explanation = explanation.map(JobExplanation::of);
        self
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
            phases: Vec::new(),
        }
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
