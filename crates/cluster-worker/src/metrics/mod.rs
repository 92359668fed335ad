//! The worker's own metrics.
//!
//! The numbers are read off the state when the page is requested, so that none can be out of date.

mod page;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use obuilder::shared::SharedStats;

use crate::machine::MachineStats;
use crate::outcome::Outcome;
use crate::running::Load;

pub(crate) use self::page::CONTENT_TYPE;

/// How often something was done, and how long that took in all.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    count: Cell<u64>,
    time: Cell<Duration>,
}

impl Summary {
    pub(crate) fn add(&self, time: Duration) {
        self.count.set(self.count.get() + 1);
        self.time.set(self.time.get() + time);
    }
}

/// The statistics of an OBuilder builder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BuilderStats {
    /// Steps that were found in the cache, and those that were run.
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Cancelled steps that did not stop in time.
    pub(crate) not_stopped: u64,
    /// What was fetched and shared. `None` if no results are shared.
    pub(crate) shared: Option<SharedStats>,
    /// How much of the store's filesystem is free.
    pub(crate) free_percent: f64,
    /// Whether the last health check succeeded, and how long it took.
    pub(crate) healthy: bool,
    pub(crate) check_time: Duration,
}

impl Default for BuilderStats {
    fn default() -> Self {
        Self {
            hits: 0,
            misses: 0,
            not_stopped: 0,
            shared: Some(SharedStats::default()),
            free_percent: 100.0,
            healthy: true,
            check_time: Duration::ZERO,
        }
    }
}

/// What a worker has done since it started.
#[derive(Debug)]
pub(crate) struct Stats {
    started: SystemTime,
    pub(crate) jobs_accepted: Cell<u64>,
    /// By result: ok, fail, cancelled, error.
    job_time: [Summary; 4],
    pub(crate) push_time: Summary,
    pub(crate) prune_time: Summary,
    /// Cancelled jobs that did not stop in time.
    pub(crate) not_stopped: Cell<u64>,
}

impl Stats {
    pub(crate) fn new(started: SystemTime) -> Self {
        Self {
            started,
            jobs_accepted: Cell::new(0),
            job_time: Default::default(),
            push_time: Summary::default(),
            prune_time: Summary::default(),
            not_stopped: Cell::new(0),
        }
    }

    /// Counts a job that has ended.
    pub(crate) fn job_ended(&self, outcome: &Outcome, time: Duration) {
        let [ok, fail, cancelled, error] = &self.job_time;
        let summary = match outcome {
            Outcome::Succeeded(_) => ok,
            Outcome::Failed { .. } | Outcome::LimitReached(_) => fail,
            Outcome::Cancelled(_) | Outcome::Abandoned => cancelled,
            Outcome::Unfit { .. } | Outcome::Crashed => error,
        };
        summary.add(time);
    }
}

/// What is read off a worker when its metrics are asked for.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) load: Load,
    pub(crate) capacity: u32,
    /// OBuilder's statistics, if this worker has it.
    pub(crate) builder: Option<BuilderStats>,
    /// Why it takes no jobs, if it takes none: a word for each reason.
    pub(crate) unfit: BTreeSet<&'static str>,
    pub(crate) machine: MachineStats,
    /// The time that this process has computed.
    pub(crate) cpu: Duration,
}

/// Returns a page that has every metric of a worker, with each of its labels.
///
/// For the reference, and for tests of dashboards and alerts; the numbers mean nothing.
pub fn example_metrics() -> String {
    let stats = Stats::new(SystemTime::UNIX_EPOCH);
    stats.job_ended(
        &Outcome::Cancelled(cluster_api::CancelledBy::Client),
        Duration::ZERO,
    );
    stats.text(&Reading {
        builder: Some(BuilderStats::default()),
        machine: MachineStats::example(),
        ..Reading::default()
    })
}
