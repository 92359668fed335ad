//! Time limits: in the queue, running, silent, and without a client or a worker.

use pool::Time;

use crate::job::Job;
use crate::{AttemptId, CancelledBy, JobId, Jobs, Limit, LossReason, Outcome, Stage};

/// A limit that a job has reached.
enum Reached {
    Terms(Limit),
    Departure,
    ReturnTimeout(AttemptId),
}

impl Jobs {
    /// Reports the time, so that jobs which have reached a limit end, or are tried again.
    ///
    /// A time before the latest one is ignored.
    pub fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some((alarm, id)) = self.alarms.first().copied()
            && alarm <= self.now
        {
            self.alarms.remove(&(alarm, id));
            let Some(job) = self.jobs.get_mut(&id) else {
                continue;
            };
            job.alarm = None;
            match reached(job, self.now) {
                Some(Reached::Terms(limit)) => self.end(id, Outcome::TimedOut(limit)),
                Some(Reached::Departure) => {
                    self.end(id, Outcome::Cancelled(CancelledBy::Departure));
                }
                Some(Reached::ReturnTimeout(attempt)) => self.lose(attempt, LossReason::WorkerGone),
                // Its log has grown since.
                None => self.set_alarm(id),
            }
        }
    }

    /// Returns when to call [`advance`](Self::advance) next. Ask again after anything else has happened.
    pub fn next_deadline(&self) -> Option<Time> {
        self.alarms.first().map(|(alarm, _)| *alarm)
    }

    /// Sets the alarm of a job for its next limit.
    pub(crate) fn set_alarm(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let next = job.next_limit();
        if job.alarm != next {
            if let Some(alarm) = job.alarm {
                self.alarms.remove(&(alarm, id));
            }
            job.alarm = next;
            self.alarms.extend(next.map(|alarm| (alarm, id)));
        }
    }
}

/// Returns the limit that a job has reached, if it has reached one.
fn reached(job: &Job, now: Time) -> Option<Reached> {
    let terms = &job.new.terms;
    let over = |since: Time, limit: Option<core::time::Duration>| {
        limit.is_some_and(|limit| since + limit <= now)
    };
    if matches!(job.stage, Stage::Ended { .. }) {
        return None;
    }
    if job.departure_limit().is_some_and(|until| until <= now) {
        return Some(Reached::Departure);
    }
    match &job.stage {
        Stage::Queued { since } => {
            over(*since, terms.queue_limit).then_some(Reached::Terms(Limit::Queue))
        }
        Stage::Assigned(attempt) | Stage::Running(attempt) | Stage::Away { attempt, .. }
            if over(attempt.started, terms.run_limit) =>
        {
            Some(Reached::Terms(Limit::Run))
        }
        Stage::Running(_) => {
            over(job.last_log, terms.silence_limit).then_some(Reached::Terms(Limit::Silence))
        }
        Stage::Away { attempt, until } if *until <= now => {
            Some(Reached::ReturnTimeout(AttemptId {
                job: job.new.id,
                number: attempt.number,
            }))
        }
        Stage::Assigned(_) | Stage::Away { .. } | Stage::Ended { .. } => None,
    }
}
