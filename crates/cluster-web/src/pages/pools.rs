//! The first page: all pools.

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::bar::bar;
use super::frame::Frame;
use super::rows::{JobRow, Links as _};

/// All pools, what needs attention, and the last failures.
#[derive(Debug, Serialize, JsonSchema, Template)]
#[template(path = "pools.html")]
pub struct PoolsPage {
    /// What all pages have.
    #[serde(skip)]
    pub frame: Frame,
    /// What needs attention, the worst first.
    pub findings: Vec<Finding>,
    /// The pools, sorted by name.
    pub pools: Vec<PoolRow>,
    /// The last jobs that did not succeed; null if the visitor may not see jobs.
    pub failures: Option<Vec<JobRow>>,
}

/// Something that needs attention.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Finding {
    /// The pool that it is about; null if it is about none.
    pub pool: Option<String>,
    /// The worker of this pool that it is about; null if it is about none.
    pub worker: Option<String>,
    /// Whether jobs fail or wait because of it. Otherwise they may soon.
    pub is_problem: bool,
    /// What was found, for people.
    pub text: String,
    /// What to do, for people; null if there is nothing to do.
    pub advice: Option<String>,
}

/// How many findings are shown at once: all problems, up to so many, and a few warnings.
const OPEN_PROBLEMS: usize = 12;
const OPEN_FINDINGS: usize = 4;

/// How many more can be unfolded.
const FOLDED_FINDINGS: usize = 200;

/// Returns the findings that are shown at once, those that can be unfolded, and how many there are beyond those. They
/// begin with the problems.
pub(crate) fn folded(findings: &[Finding]) -> (&[Finding], &[Finding], usize) {
    let problems = findings.iter().take_while(|found| found.is_problem).count();
    let open = problems.clamp(OPEN_FINDINGS, OPEN_PROBLEMS);
    let (open, more) = findings.split_at(open.min(findings.len()));
    let (folded, beyond) = more.split_at(more.len().min(FOLDED_FINDINGS));
    (open, folded, beyond.len())
}

/// The state of a pool in numbers.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct PoolRow {
    /// Its name.
    pub name: String,
    /// How many jobs run.
    pub running: u64,
    /// How many jobs all connected workers run at once.
    pub capacity: u64,
    /// How many jobs are queued.
    pub queued: u64,
    /// How many of those are urgent.
    pub urgent: u64,
    /// How long the oldest of them has waited; 0 when there is none.
    pub oldest_wait_seconds: f64,
    /// How many workers it has, by their states.
    pub workers: WorkerCounts,
    /// How many jobs succeeded within the last hour.
    pub succeeded: u32,
    /// How many jobs failed within the last hour.
    pub failed: u32,
    /// How many jobs were lost within the last hour.
    pub lost: u32,
    /// Half of the jobs that started within the last hour waited for less than this; null if none started.
    pub median_wait_seconds: Option<f64>,
}

/// How many workers are in which state. Each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WorkerCounts {
    /// Those that take jobs.
    pub ready: u32,
    /// Those that are paused, by themselves or by an operator.
    pub paused: u32,
    /// Those that are connected, but unresponsive.
    pub unresponsive: u32,
    /// Those that are not connected.
    pub away: u32,
}

impl PoolRow {
    pub(super) fn bar(&self) -> String {
        let label = format!("{} of {} running", self.running, self.capacity);
        bar(self.running as f64, self.capacity as f64, &label)
    }

    /// Returns what is worst about the pool, as a class.
    pub(super) fn level(&self) -> &'static str {
        let is_stuck = self.queued > 0 && self.workers.ready == 0;
        match (is_stuck, self.workers.ready) {
            (true, _) => "bad",
            (false, 0) => "warn",
            _ if self.workers.unresponsive > 0 => "warn",
            _ => "good",
        }
    }
}

impl WorkerCounts {
    /// Returns how many workers there are.
    pub fn all(&self) -> u32 {
        self.ready + self.paused + self.unresponsive + self.away
    }
}
