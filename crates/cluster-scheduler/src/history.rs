//! What has become of a pool's jobs and workers, which the pool itself forgets.

use std::fmt;

use cluster_api::{Outcome, RpcError};

/// Seconds that tell apart what a person would: at once, a moment, a coffee, a day.
const JOB_SECONDS: &[f64] = &[
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 43_200.0, 86_400.0,
];

/// How many of some durations were at most how long.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    /// The upper bounds of the buckets, in seconds, rising.
    bounds: &'static [f64],
    /// How many fell into each bucket.
    counts: Vec<u64>,
    /// How many there were, including those beyond all buckets.
    pub(crate) count: u64,
    /// Their sum in seconds.
    pub(crate) sum: f64,
}

impl Histogram {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len()],
            count: 0,
            sum: 0.0,
        }
    }

    pub(crate) fn add(&mut self, seconds: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// Returns each bound, and how many were not above it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        self.bounds
            .iter()
            .zip(&self.counts)
            .map(move |(bound, count)| {
                below += count;
                (*bound, below)
            })
    }
}

/// How a job ended that a worker had taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobOutcome {
    Succeeded,
    Failed,
    /// A client or an operator cancelled it.
    Cancelled,
    /// Its worker disconnected, is shutting down, or is unfit.
    Lost,
}

impl fmt::Display for JobOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        })
    }
}

impl JobOutcome {
    pub(crate) fn of(outcome: &Result<String, RpcError>) -> Self {
        let Err(error) = outcome else {
            return Self::Succeeded;
        };
        match Outcome::of_error(error) {
            Outcome::Succeeded(_) => Self::Succeeded,
            Outcome::Lost { .. } | Outcome::Abandoned | Outcome::WorkerUnfit { .. } => Self::Lost,
            Outcome::Cancelled(_) => Self::Cancelled,
            Outcome::Failed { .. }
            | Outcome::TimedOut { .. }
            | Outcome::Crashed
            | Outcome::Other(_) => Self::Failed,
        }
    }
}

/// A pool's past, since the scheduler started.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// How long jobs waited that a worker has taken.
    pub(crate) waited: Histogram,
    /// How long jobs ran that have ended.
    pub(crate) ran: Histogram,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) lost: u64,
    /// How often a worker registered, and how often it was one known before.
    pub(crate) registrations: u64,
    pub(crate) reconnections: u64,
}

impl Default for History {
    fn default() -> Self {
        Self {
            waited: Histogram::new(JOB_SECONDS),
            ran: Histogram::new(JOB_SECONDS),
            succeeded: 0,
            failed: 0,
            cancelled: 0,
            lost: 0,
            registrations: 0,
            reconnections: 0,
        }
    }
}

impl History {
    pub(crate) fn job_ended(&mut self, end: JobOutcome, seconds: f64) {
        self.ran.add(seconds);
        match end {
            JobOutcome::Succeeded => self.succeeded += 1,
            JobOutcome::Failed => self.failed += 1,
            JobOutcome::Cancelled => self.cancelled += 1,
            JobOutcome::Lost => self.lost += 1,
        }
    }

    pub(crate) fn registered(&mut self, was_known: bool) {
        self.registrations += 1;
        self.reconnections += u64::from(was_known);
    }
}

#[cfg(test)]
mod tests {
    use cluster_api::RpcError;

    use super::{Histogram, JobOutcome};

    #[test]
    fn a_bucket_holds_its_bound() {
        let mut histogram = Histogram::new(&[1.0, 5.0]);
        for seconds in [0.0, 1.0, 1.5, 5.0, 7.0] {
            histogram.add(seconds);
        }
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!(cumulative, [(1.0, 2), (5.0, 4)]);
        assert_eq!((histogram.count, histogram.sum), (5, 14.5));
    }

    #[test]
    fn ends_are_told_apart() {
        let ends = [
            Ok(String::new()),
            Err(RpcError::failed("exited with 1")),
            Err(RpcError::failed("Build cancelled")),
            Err(RpcError::disconnected("worker \"w\" disconnected")),
            Err(RpcError::disconnected("worker unfit: the disk is full")),
            Err(RpcError::failed("Internal error")),
        ];
        assert_eq!(
            ends.map(|end| JobOutcome::of(&end)),
            [
                JobOutcome::Succeeded,
                JobOutcome::Failed,
                JobOutcome::Cancelled,
                JobOutcome::Lost,
                JobOutcome::Lost,
                JobOutcome::Failed
            ]
        );
    }
}
