//! The workers of a pool, together.

use super::worker::{Connected, WorkerState};

/// How many workers of a pool there are, by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WorkerCounts {
    /// Connected, and take jobs.
    pub(super) active: usize,
    /// Connected, and take none.
    pub(super) paused: usize,
    pub(super) away: usize,
}

impl WorkerCounts {
    pub(super) fn of(workers: &[WorkerState]) -> Self {
        let mut counts = Self::default();
        for worker in workers {
            match worker.connected().map(Connected::is_active) {
                Some(true) => counts.active += 1,
                Some(false) => counts.paused += 1,
                None => counts.away += 1,
            }
        }
        counts
    }

    /// Returns that those that take jobs have others, in words.
    pub(super) fn busy(self, pool: &str) -> String {
        let Self {
            active,
            paused,
            away,
        } = self;
        let others: Vec<String> = [(paused, "paused"), (away, "not connected")]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, state)| format!("{count} {state}"))
            .collect();
        match (active, others.is_empty()) {
            (1, true) => format!("the only worker of pool {pool} is busy"),
            (active, true) => format!("all {active} workers of pool {pool} are busy"),
            (1, false) => format!(
                "the only worker of pool {pool} that takes jobs is busy ({})",
                others.join(", ")
            ),
            (active, false) => format!(
                "the {active} workers of pool {pool} that take jobs are busy ({})",
                others.join(", ")
            ),
        }
    }
}
