//! One worker.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::frame::Frame;
use super::graph::Graph;
use super::reproduce::Command;
use super::rows::{JobRow, Links as _, RunningRow};
use super::workers::WorkerRow;

/// One worker.
#[derive(Debug, Serialize, JsonSchema, Template)]
#[template(path = "worker.html")]
pub struct WorkerPage {
    /// What all pages have.
    #[serde(skip)]
    pub frame: Frame,
    /// The name of its pool.
    pub pool: String,
    /// The worker.
    pub worker: WorkerRow,
    /// The jobs that it runs, the oldest first.
    pub running: Vec<RunningRow>,
    /// Its last jobs, the latest first; null if the visitor may not see jobs.
    pub jobs: Option<Vec<JobRow>>,
    /// Its registrations since the scheduler started, the latest first; empty if they are not known.
    pub registrations: Vec<Registration>,
    /// The cache hints of the jobs that it has run, the latest first; null if the visitor may not see them.
    pub cached: Option<Vec<Cached>>,
    /// Graphs of its load and its disks; empty if it does not report them.
    pub graphs: Vec<Graph>,
    /// The commands that pause, unpause or forget it.
    pub commands: Vec<Command>,
}

/// A registration of a worker.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Registration {
    /// How long ago it began.
    pub began_seconds: f64,
    /// How long it lasted; null if it has not ended.
    pub lasted_seconds: Option<f64>,
    /// Where the worker connected from; null if that is not known.
    pub address: Option<String>,
    /// How it ended, for people; null if it has not.
    pub end: Option<String>,
}

/// What a worker has cached.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Cached {
    /// The cache hint.
    pub cache_hint: String,
    /// How long ago a job with it ran there; null if that is not known.
    pub used_seconds: Option<f64>,
}
