//! What has become of a pool's jobs and workers, which the pool itself forgets.

use std::fmt;

use cluster_api::{Outcome, RpcError};
use pool::{Capacity, JobEnd};
use prometheus_text::Histogram;

/// Seconds that tell apart what a person would: at once, a moment, a coffee, a day.
const JOB_SECONDS: &[f64] = &[
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 43_200.0, 86_400.0,
];

/// How a job ended that a worker had taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobResult {
    Succeeded,
    Failed,
    /// A client or an operator cancelled it.
    Cancelled,
    /// Its worker is shutting down, or is unfit, or left before it had received the job.
    Lost,
    /// Its worker disconnected. It is lost, unless the worker keeps it.
    Disconnected,
}

impl fmt::Display for JobResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost | Self::Disconnected => "lost",
        })
    }
}

impl JobResult {
    /// Returns what its time tells about other jobs.
    pub(crate) fn job_end(self) -> JobEnd {
        match self {
            Self::Succeeded | Self::Failed => JobEnd::Completed,
            Self::Cancelled => JobEnd::Stopped,
            Self::Lost | Self::Disconnected => JobEnd::Lost,
        }
    }

    pub(crate) fn of(outcome: &Result<String, RpcError>) -> Self {
        let Err(error) = outcome else {
            return Self::Succeeded;
        };
        Self::of_outcome(&Outcome::of_error(error))
    }

    pub(crate) fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded(_) => Self::Succeeded,
            Outcome::Lost { .. } => Self::Disconnected,
            Outcome::Abandoned | Outcome::WorkerUnfit { .. } => Self::Lost,
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
    /// How many jobs the worker may run at once that registered last; 0 before the first one.
    pub(crate) last_capacity: u32,
    /// Jobs that started in the range that was forecast for them first, and those that did not.
    pub(crate) forecasts_held: u64,
    pub(crate) forecasts_missed: u64,
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
            last_capacity: 0,
            forecasts_held: 0,
            forecasts_missed: 0,
        }
    }
}

impl History {
    pub(crate) fn job_ended(&mut self, end: JobResult, seconds: f64) {
        self.ran.add(seconds);
        match end {
            JobResult::Succeeded => self.succeeded += 1,
            JobResult::Failed => self.failed += 1,
            JobResult::Cancelled => self.cancelled += 1,
            JobResult::Lost | JobResult::Disconnected => self.lost += 1,
        }
    }

    /// A job has started for which there was a forecast.
    pub(crate) fn forecast_checked(&mut self, held: bool) {
        self.forecasts_held += u64::from(held);
        self.forecasts_missed += u64::from(!held);
    }

    /// A worker has registered that may run so many jobs at once.
    pub(crate) fn registered(&mut self, was_known: bool, capacity: Capacity) {
        self.last_capacity = capacity.get();
        self.registrations += 1;
        self.reconnections += u64::from(was_known);
    }
}

#[cfg(test)]
mod tests {
    use cluster_api::RpcError;

    use super::JobResult;

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
            ends.map(|end| JobResult::of(&end)),
            [
                JobResult::Succeeded,
                JobResult::Failed,
                JobResult::Cancelled,
                JobResult::Disconnected,
                JobResult::Lost,
                JobResult::Failed
            ]
        );
    }
}
