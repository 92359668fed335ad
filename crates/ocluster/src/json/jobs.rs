//! What commands about durable jobs print.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

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
    /// Its id.
    pub(crate) id: String,
    /// The client that submitted it.
    pub(crate) client: String,
    /// Its pool.
    pub(crate) pool: String,
    /// Its kind: `docker`, `obuilder`, or that of a custom job.
    pub(crate) kind: String,
    /// Its labels, by name.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its state: `queued`, `running`, `succeeded`, `failed`, `cancelled`, `timed-out` or `lost`.
    pub(crate) state: String,
    /// How long ago it was submitted.
    pub(crate) submitted_ago_seconds: f64,
    /// How long ago it began to wait, was given to a worker, or ended.
    pub(crate) changed_ago_seconds: f64,
    /// How many attempts it has had.
    pub(crate) attempts: u32,
    /// The worker of its latest attempt; null before the first.
    pub(crate) worker: Option<String>,
    /// Whether it ends with the connection of its client or its worker. Others are durable.
    pub(crate) attached: bool,
}

/// All that is known of a durable job, but what it runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct JobDetails {
    /// As in lists.
    #[serde(flatten)]
    pub(crate) job: Job,
    /// How far it has come, or how it ended, for people.
    pub(crate) status: String,
    /// Its output; null unless it succeeded.
    pub(crate) output: Option<String>,
    /// What its client calls the submission; null if it gave no key.
    pub(crate) key: Option<String>,
    /// Whether it is urgent.
    pub(crate) urgent: bool,
    /// Its cache hint; empty for none.
    pub(crate) cache_hint: String,
    /// Its attempts, the first one first.
    pub(crate) runs: Vec<Attempt>,
}

/// An attempt of a durable job.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Attempt {
    /// Its number.
    pub(crate) number: u32,
    /// The worker that had it.
    pub(crate) worker: String,
    /// How long ago that worker was chosen.
    pub(crate) started_ago_seconds: f64,
    /// How much of its log is kept.
    pub(crate) log_bytes: u64,
    /// How it ended; null while it has not, or if that was never known.
    pub(crate) end: Option<AttemptEnd>,
}

/// The end of an attempt.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AttemptEnd {
    /// How: `succeeded`, `failed`, `timed-out`, `refused`, `stopped` or `lost`.
    pub(crate) result: String,
    /// How long ago.
    pub(crate) ended_ago_seconds: f64,
    /// More about it, for people; empty for nothing more.
    pub(crate) detail: String,
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
