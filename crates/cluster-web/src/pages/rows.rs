//! Rows of tables of jobs.

use std::collections::BTreeMap;

use cluster_api::{JobSummary, Label};
use schemars::JsonSchema;
use serde::Serialize;

use super::reason::{Range, Waiting};

/// How much of a commit's hash is shown.
const SHORT_HASH: usize = 10;

/// A job that the scheduler keeps.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct JobRow {
    /// Its id.
    pub id: String,
    /// Its state: `queued`, `running`, `succeeded`, `failed`, `cancelled`, `timed-out` or `lost`.
    pub state: String,
    /// The name of its pool.
    pub pool: String,
    /// The client that submitted it; null if the visitor may not see that.
    pub client: Option<String>,
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
        Self {
            id: id.clone(),
            state: state.to_string(),
            pool: pool.clone(),
            client: client.map(str::to_owned),
            kind: kind.clone(),
            labels: labels_of(labels),
            submitted_ago_seconds: submitted_ago.as_secs_f64(),
            changed_ago_seconds: changed_ago.as_secs_f64(),
            attempts: *attempts,
            worker: worker.clone(),
            attached: *attached,
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

/// Returns labels by their names.
pub(super) fn labels_of(labels: &[Label]) -> BTreeMap<String, String> {
    let labels = labels.iter();
    labels
        .map(|Label { name, value }| (name.clone(), value.clone()))
        .collect()
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
        &self.labels
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
