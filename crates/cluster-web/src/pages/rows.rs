//! Rows of tables of jobs.

use std::collections::BTreeMap;

use cluster_api::JobSummary;
use cluster_json::kept_jobs::KeptJob;
use schemars::JsonSchema;
use serde::Serialize;

use super::reason::{Range, Waiting};

/// How much of a commit's hash is shown.
const SHORT_HASH: usize = 10;

/// A job that the scheduler keeps.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct JobRow {
    /// What programs print of it.
    #[serde(flatten)]
    pub kept: KeptJob,
    /// The client that submitted it; null if the visitor may not see that.
    pub client: Option<String>,
    /// Why it did not succeed, for people; null if it did, and if that is not known.
    pub cause: Option<String>,
}

/// A job that no worker has taken.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct QueuedRow {
    /// The number of its ticket, by which `cancel` cancels it.
    pub ticket: u64,
    /// Its id; null if the scheduler does not keep it, or the visitor may not see it.
    pub id: Option<String>,
    /// Who submitted it; null if the visitor may not see that.
    pub client: Option<String>,
    /// Its cache hint; empty when it has none; null if the visitor may not see it.
    pub cache_hint: Option<String>,
    /// Its labels; empty if it has none, and if they are not known.
    pub labels: BTreeMap<String, String>,
    /// Whether it is urgent.
    pub urgent: bool,
    /// How long it has waited.
    pub waiting_seconds: f64,
    /// The worker that it waits for; null if it waits for any.
    pub worker: Option<String>,
    /// How many jobs are ahead of it.
    pub ahead: Option<u32>,
    /// Why it waits, and until when; null if that is not known.
    pub reason: Option<Waiting>,
}

/// A job that a worker runs.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct RunningRow {
    /// The number of its ticket, by which `cancel` cancels it.
    pub ticket: u64,
    /// Its id; null if the scheduler does not keep it, or the visitor may not see it.
    pub id: Option<String>,
    /// The worker that runs it.
    pub worker: String,
    /// Who submitted it; null if the visitor may not see that.
    pub client: Option<String>,
    /// Its cache hint; empty when it has none; null if the visitor may not see it.
    pub cache_hint: Option<String>,
    /// Its labels; empty if it has none, and if they are not known.
    pub labels: BTreeMap<String, String>,
    /// Whether it is urgent.
    pub urgent: bool,
    /// How long ago the worker took it.
    pub running_seconds: f64,
    /// How long such jobs usually take; null if that is not known.
    pub usual_seconds: Option<f64>,
}

impl JobRow {
    /// Returns the row of a job.
    pub fn of(job: &JobSummary, client: Option<&str>) -> Self {
        Self {
            kept: KeptJob::of(job),
            client: client.map(str::to_owned),
            cause: None,
        }
    }
}

impl QueuedRow {
    /// Returns when it is expected to start.
    pub(super) fn start(&self) -> Option<Range> {
        self.reason.as_ref().and_then(|reason| reason.start)
    }
}

/// What labels tell of a job, for people.
pub trait Links {
    /// Returns the labels.
    fn labels(&self) -> &BTreeMap<String, String>;

    /// Returns `REPO@COMMIT`, of those labels, or what there is of them.
    fn source(&self) -> Option<String> {
        let labels = self.labels();
        let commit = labels.get("commit").map(|hash| short_hash(hash));
        match (labels.get("repo"), commit) {
            (Some(repo), Some(commit)) => Some(format!("{repo}@{commit}")),
            (Some(repo), None) => Some(repo.clone()),
            (None, Some(commit)) => Some(commit.to_owned()),
            (None, None) => None,
        }
    }

    /// Returns the other labels.
    fn other_labels(&self) -> Vec<(&String, &String)> {
        let labels = self.labels().iter();
        labels
            .filter(|(name, _)| !matches!(name.as_str(), "repo" | "commit"))
            .collect()
    }
}

/// Returns the first digits of a hash, or another text as it is.
pub(super) fn short_hash(hash: &str) -> &str {
    match hash.len() >= 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => hash.get(..SHORT_HASH).unwrap_or(hash),
        false => hash,
    }
}

impl Links for JobRow {
    fn labels(&self) -> &BTreeMap<String, String> {
        &self.kept.labels
    }
}

impl Links for QueuedRow {
    fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }
}

impl Links for RunningRow {
    fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }
}
