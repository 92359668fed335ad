//! Numbers about the jobs and their store, for metrics.

use std::time::Duration;

use job_store::CommitterStats;
use jobs::Stats;

use super::DurableJobs;
use super::phase_seconds::PhaseHistograms;

/// Numbers about the jobs and their store.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobsReport {
    pub(crate) stats: Stats,
    /// How saving goes.
    pub(crate) store: CommitterStats,
    /// How many bytes of logs are kept.
    pub(crate) log_bytes: u64,
    /// Whether a log cannot be written at present.
    pub(crate) logs_failing: bool,
    /// For how long the oldest outcome is known that its worker still keeps; zero if there is none.
    pub(crate) oldest_unacknowledged: Duration,
    /// How long phases took.
    pub(crate) phase_seconds: PhaseHistograms,
}

impl DurableJobs {
    /// Returns how saving goes.
    pub(crate) fn store_stats(&self) -> CommitterStats {
        match &*self.committer.borrow() {
            Some(committer) => committer.stats(),
            // The scheduler ends.
            None => CommitterStats::default(),
        }
    }

    /// Returns the numbers as they are now.
    pub(crate) fn report(&self) -> JobsReport {
        let state = self.state.borrow();
        let stats = state.jobs.stats();
        let growing = state.live.values().map(|live| live.log.get());
        let growing = growing.filter(|log| !log.is_complete);
        let growing: u64 = growing.map(|log| log.length).sum();
        let now = self.clock.unix_now();
        let age = stats
            .oldest_unacknowledged
            .map(|since| now.secs_after(since));
        JobsReport {
            stats,
            store: self.store_stats(),
            log_bytes: self.logs.whole().saturating_add(growing),
            logs_failing: self.logs.is_failing(),
            oldest_unacknowledged: Duration::try_from_secs_f64(age.unwrap_or(0.0))
                .unwrap_or_default(),
            phase_seconds: self.phase_seconds.read(),
        }
    }
}
