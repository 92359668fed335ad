//! When the parts of a run of a job began and ended.

use std::time::Duration;

use cluster_api::Phase;
use schemars::JsonSchema;
use serde::Serialize;

/// A part of a run of a job.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RunPhase {
    /// What is done in it: `source` (fetching the source), `image` (getting a base image), `step` (of a build), `push`
    /// (of the image) or `run` (of the program of a custom job).
    pub kind: String,
    /// The same for people, in a line.
    pub name: String,
    /// Where its output begins in the log, in bytes.
    pub log_offset: u64,
    /// When it began, since the beginning of the run.
    pub started_seconds: f64,
    /// When it ended, since the beginning of the run; null while it has not, and if that is not known.
    pub ended_seconds: Option<f64>,
    /// Whether its result was there already.
    pub cached: bool,
}

impl RunPhase {
    /// Returns a phase.
    pub fn of(phase: &Phase) -> Self {
        let Phase {
            kind,
            name,
            log_offset,
            started,
            ended,
            cached,
        } = phase;
        Self {
            kind: kind.to_string(),
            name: name.clone(),
            log_offset: *log_offset,
            started_seconds: started.as_secs_f64(),
            ended_seconds: ended.as_ref().map(Duration::as_secs_f64),
            cached: *cached,
        }
    }
}
