//! What `ocluster-admin` prints about jobs that the scheduler keeps.

use cluster_api::{JobDetails as Kept, ListedJob};
use schemars::JsonSchema;
use serde::Serialize;

use crate::kept_jobs::{DescribedJob, KeptJob};
use crate::outcome;

/// Jobs, the latest submission first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Jobs {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Whether there are more than `--limit`.
    pub more: bool,
}

/// A job.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Job {
    /// What its client sees of it.
    #[serde(flatten)]
    pub job: KeptJob,
    /// The client that submitted it.
    pub client: String,
}

/// All that is known of a job, but what it runs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobDetails {
    /// What its client sees of it.
    #[serde(flatten)]
    pub job: DescribedJob,
    /// The client that submitted it.
    pub client: String,
    /// How far it has come, or how it ended, for people.
    pub status: String,
    /// Its cache hint; empty for none.
    pub cache_hint: String,
}

/// A piece of a log. The pieces joined are the log.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogPiece {
    /// A piece.
    Log {
        /// The text, which may begin and end anywhere in a line. U+FFFD replaces invalid UTF-8.
        text: String,
    },
}

impl Job {
    /// Returns a job of a list.
    pub fn of(listed: &ListedJob) -> Self {
        let ListedJob { summary, client } = listed;
        Self {
            job: KeptJob::of(summary),
            client: client.clone(),
        }
    }
}

impl JobDetails {
    /// Returns all that is known of a job.
    pub fn of(details: &Kept) -> Self {
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
