//! The workers of a pool.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::bar::bar;
use super::frame::Frame;
use super::pools::WorkerCounts;

/// The workers of a pool.
#[derive(Debug, Serialize, JsonSchema, Template)]
#[template(path = "workers.html")]
pub struct WorkersPage {
    /// What all pages have.
    #[serde(skip)]
    pub frame: Frame,
    /// The name of the pool.
    pub pool: String,
    /// How many workers there are, by their states.
    pub counts: WorkerCounts,
    /// The state that is shown alone: `ready`, `paused`, `unresponsive` or `away`; null for all.
    pub state: Option<String>,
    /// The workers, in natural order.
    pub workers: Vec<WorkerRow>,
}

/// A worker.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct WorkerRow {
    /// The name it registers with.
    pub name: String,
    /// Its state: `ready`, `paused`, `unresponsive` or `away`.
    pub state: String,
    /// Why it is in this state, for people; empty if there is nothing to say.
    pub reason: String,
    /// Whether an operator has paused it.
    pub paused: bool,
    /// Who paused it, and why; null if no operator has, or the scheduler does not know.
    pub pause: Option<PauseRow>,
    /// How many jobs it runs.
    pub running: u32,
    /// How many jobs it runs at once; null if it is not connected.
    pub capacity: Option<u32>,
    /// How many jobs wait for this worker.
    pub queued: u32,
    /// The version of its program; null if it is not connected, or not one of ours.
    pub version: Option<String>,
    /// For how long it is connected; null if it is not.
    pub connected_seconds: Option<f64>,
    /// How long ago it disconnected; null if it is connected, or has not connected since the scheduler started.
    pub left_seconds: Option<f64>,
    /// Where it connects from; null if it is not connected, or the visitor may not see that.
    pub address: Option<String>,
    /// Its disks; empty if it does not report them.
    pub disks: Vec<DiskRow>,
    /// How long ago its last job ended; null if that is not known.
    pub last_job_seconds: Option<f64>,
    /// How many of its last jobs did not succeed by the job's fault or its own.
    pub recent_failed: u32,
    /// How many last jobs these are, 20 at most.
    pub recent: u32,
}

/// An operator's pause.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct PauseRow {
    /// Who paused it, as USER@HOST; empty if unknown. It is not verified.
    pub by: String,
    /// The reason; empty if none was given.
    pub note: String,
    /// How long ago that was.
    pub lasting_seconds: f64,
}

/// A disk of a worker.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct DiskRow {
    /// What is on it, such as `docker`.
    pub name: String,
    /// How much of it is free, from 0 to 1.
    pub free: f64,
}

impl WorkersPage {
    fn filters(&self) -> [(&'static str, u32); 4] {
        let WorkerCounts {
            ready,
            paused,
            unresponsive,
            away,
        } = self.counts;
        [
            ("ready", ready),
            ("paused", paused),
            ("unresponsive", unresponsive),
            ("away", away),
        ]
    }

    fn shows(&self, state: &str) -> bool {
        self.state.as_deref() == Some(state)
    }
}

impl WorkerRow {
    pub(super) fn bar(&self) -> String {
        let capacity = self.capacity.unwrap_or_default();
        let label = format!("{} of {capacity} running", self.running);
        bar(f64::from(self.running), f64::from(capacity), &label)
    }

    pub(super) fn is_failing(&self) -> bool {
        self.recent >= 4 && self.recent_failed * 2 > self.recent
    }
}

impl DiskRow {
    pub(super) fn text(&self) -> String {
        format!("{} {:.0} % free", self.name, self.free * 100.0)
    }

    pub(super) fn bar(&self) -> String {
        bar(1.0 - self.free, 1.0, &self.text())
    }
}
