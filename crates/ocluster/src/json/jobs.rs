//! What `ocluster-admin` prints about jobs that the scheduler keeps.

use cluster_api::{AttemptDetails, JobDetails as Kept, ListedJob};
use schemars::JsonSchema;
use serde::Serialize;

use super::kept_jobs::{KeptJob, Run, seconds};

/// Jobs, the latest submission first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Jobs {
    /// The jobs.
    pub(crate) jobs: Vec<Job>,
    /// Whether there are more than `--limit`.
    pub(crate) more: bool,
}

/// A job.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Job {
    /// What its client sees of it.
    #[serde(flatten)]
    job: KeptJob,
    /// The client that submitted it.
    client: String,
}

/// All that is known of a job, but what it runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct JobDetails {
    /// What its client sees of it.
    #[serde(flatten)]
    job: KeptJob,
    /// The client that submitted it.
    client: String,
    /// How far it has come, or how it ended, for people.
    status: String,
    /// Its output; null unless it succeeded.
    output: Option<String>,
    /// The key of its submission; null if it has none.
    key: Option<String>,
    /// Whether it goes before all jobs that are not urgent.
    urgent: bool,
    /// Its cache hint; empty for none.
    cache_hint: String,
    /// Its attempts, the first one first.
    runs: Vec<Attempt>,
}

/// A run of a job by a worker.
#[derive(Debug, Serialize, JsonSchema)]
struct Attempt {
    /// What its client sees of it.
    #[serde(flatten)]
    run: Run,
    /// How it ended; null while it has not, or if that was never known.
    end: Option<AttemptEnd>,
}

/// The end of an attempt.
#[derive(Debug, Serialize, JsonSchema)]
struct AttemptEnd {
    /// How: `succeeded`, `failed`, `timed-out`, `refused`, `stopped` or `lost`.
    result: String,
    /// How long ago.
    ended_ago_seconds: f64,
    /// More about it, for people; empty for nothing more.
    detail: String,
}

/// A piece of a log. The pieces joined are the log.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum LogPiece {
    /// A piece.
    Log {
        /// The text, which may begin and end anywhere in a line. U+FFFD replaces invalid UTF-8.
        text: String,
    },
}

impl Job {
    pub(crate) fn of(listed: &ListedJob) -> Self {
        let ListedJob { summary, client } = listed;
        Self {
            job: KeptJob::of(summary),
            client: client.clone(),
        }
    }
}

impl JobDetails {
    /// Returns a job with its status for people, and with its output if it succeeded.
    pub(crate) fn of(details: &Kept, (status, output): (String, Option<String>)) -> Self {
        let Kept {
            summary,
            client,
            key,
            urgent,
            cache_hint,
            status: _,
            attempts,
        } = details;
        Self {
            job: KeptJob::of(summary),
            client: client.clone(),
            status,
            output,
            key: key.clone(),
            urgent: *urgent,
            cache_hint: cache_hint.clone(),
            runs: attempts.iter().map(Attempt::of).collect(),
        }
    }
}

impl Attempt {
    fn of(attempt: &AttemptDetails) -> Self {
        Self {
            run: Run::of_details(attempt),
            end: attempt.end.as_ref().map(|end| AttemptEnd {
                result: end.word.clone(),
                ended_ago_seconds: seconds(end.ago),
                detail: end.detail.clone(),
            }),
        }
    }
}
