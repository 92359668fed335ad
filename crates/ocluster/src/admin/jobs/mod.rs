//! The jobs of all clients: `jobs`, `job` and `job-log`.

mod filter;
pub(super) mod list;
pub(super) mod log;
pub(super) mod show;

use std::time::Duration;

use cluster_api::{JobSummary, ListedJob};

use crate::json::jobs::Job;
use cli::quote::printable;

/// Returns a job as JSON has it.
fn job(listed: ListedJob) -> Job {
    let ListedJob { summary, client } = listed;
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
    } = summary;
    Job {
        id,
        client,
        pool,
        kind,
        labels: labels
            .into_iter()
            .map(|label| (label.name, label.value))
            .collect(),
        state: state.to_string(),
        submitted_ago_seconds: submitted_ago.as_secs_f64(),
        changed_ago_seconds: changed_ago.as_secs_f64(),
        attempts,
        worker,
        attached,
    }
}

/// Returns labels as `NAME=VALUE`, in the order of their names.
fn labels(job: &Job) -> String {
    let label =
        |(name, value): (&String, &String)| format!("{}={}", printable(name), printable(value));
    job.labels.iter().map(label).collect::<Vec<_>>().join(" ")
}

/// Returns a length of time for a table.
fn compact(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    visible::CompactElapsed(time).to_string()
}
