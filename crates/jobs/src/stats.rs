//! Numbers about the jobs, for metrics.

use pool::Time;

use crate::{AttemptId, Effect, Jobs, Outcome, Stage, Verdict};

/// How many jobs there are, and what has happened to them since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many wait for a worker.
    pub queued: usize,
    /// How many a worker has, or is about to get.
    pub running: usize,
    /// How many wait for their worker to return.
    pub away: usize,
    /// Since when the oldest end of an attempt is known that its worker still keeps, as it is not acknowledged.
    pub oldest_unacknowledged: Option<Time>,
    /// What has happened since the start.
    pub totals: Totals,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many jobs have succeeded.
    pub succeeded: u64,
    /// How many ran, and failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// How many reached a limit.
    pub timed_out: u64,
    /// How many were lost with their workers.
    pub lost: u64,
    /// How many attempts were lost whose jobs were tried again.
    pub retried: u64,
    /// How many attempts went on after their worker had returned.
    pub adopted: u64,
}

impl Totals {
    /// A job has ended.
    pub(crate) fn ended(&mut self, outcome: &Outcome) {
        let total = match outcome {
            Outcome::Done(Verdict::Succeeded(_)) => &mut self.succeeded,
            Outcome::Done(Verdict::Failed { .. } | Verdict::Refused { .. }) => &mut self.failed,
            Outcome::Done(Verdict::TimedOut { .. }) | Outcome::TimedOut(_) => &mut self.timed_out,
            Outcome::Cancelled(_) => &mut self.cancelled,
            Outcome::Lost(_) => &mut self.lost,
        };
        *total += 1;
    }
}

impl Jobs {
    /// Returns the numbers as they are now. It goes through all jobs.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            oldest_unacknowledged: self.unacknowledged.values().min().copied(),
            totals: self.totals,
            ..Stats::default()
        };
        for job in self.jobs.values() {
            match job.stage {
                Stage::Queued { .. } => stats.queued += 1,
                Stage::Assigned(_) | Stage::Running(_) => stats.running += 1,
                Stage::Away { .. } => stats.away += 1,
                Stage::Ended { .. } => {}
            }
        }
        stats
    }

    /// The end of an attempt is known, and its worker keeps it until that is acknowledged.
    pub(crate) fn expect_acknowledgement(&mut self, id: AttemptId) {
        let now: Time = self.now;
        self.unacknowledged.entry(id).or_insert(now);
    }

    /// Notes what is about to be done.
    pub(crate) fn note(&mut self, effect: &Effect) {
        if let Effect::Acknowledge { attempt, .. } = effect {
            self.unacknowledged.remove(attempt);
        }
    }
}
