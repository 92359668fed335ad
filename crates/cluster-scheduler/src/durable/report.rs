//! Numbers about the jobs and their store, for metrics.

use std::time::Duration;

use job_store::CommitterStats;
use jobs::Stats;
use pool::Time;

use super::DurableJobs;
use super::log_store::LogStoreStats;
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
    /// How it goes with the log store, if there is one.
    pub(crate) log_store: Option<LogStoreReport>,
    /// How long phases took.
    pub(crate) phase_seconds: PhaseHistograms,
}

/// How it goes with a log store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogStoreReport {
    pub(crate) stats: LogStoreStats,
    /// For how long the oldest log waits for its upload; zero if none does.
    pub(crate) oldest_waiting: Duration,
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
        let age_of = |since: Option<Time>| {
            let age = since.map_or(0.0, |since| now.secs_after(since));
            Duration::try_from_secs_f64(age).unwrap_or_default()
        };
        let log_store = self.log_store.as_ref().map(|store| {
            let stats = store.stats();
            LogStoreReport {
                oldest_waiting: age_of(stats.oldest),
                stats,
            }
        });
        JobsReport {
            log_store,
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
