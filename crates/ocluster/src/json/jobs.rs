//! What `ocluster-admin` prints about jobs that the scheduler keeps.

use cluster_api::{JobDetails as Kept, ListedJob};
use schemars::JsonSchema;
use serde::Serialize;

use super::kept_jobs::{DescribedJob, KeptJob};
use crate::outcome;

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
    job: DescribedJob,
    /// The client that submitted it.
    client: String,
    /// How far it has come, or how it ended, for people.
    status: String,
    /// Its cache hint; empty for none.
    cache_hint: String,
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
    pub(crate) fn of(details: &Kept) -> Self {
        let Kept {
            job,
            client,
            cache_hint,
        } = details;
        Self {
            job: DescribedJob::of(job),
            client: client.clone(),
            status: outcome::status(&job.status.stage),
            cache_hint: cache_hint.clone(),
        }
    }
}
