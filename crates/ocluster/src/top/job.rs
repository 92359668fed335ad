//! The job that is shown.

use cluster_api::JobState;

use super::line_times::LineTimes;
use super::log::Log;
use super::report::{Report, WantedLog, WantedTimes};
use crate::admin::KnownJob;

/// How much of a log is fetched before its end.
const TAIL_BYTES: u64 = 256 << 10;

/// A job, and its log.
pub(super) struct ShownJob {
    pub(super) id: String,
    /// What is known of it, or why nothing is; `None` until the scheduler has answered.
    pub(super) known: Option<Result<Box<KnownJob>, String>>,
    log: Option<(u32, Log)>,
    /// Why there is no log.
    pub(super) no_log: Option<String>,
    times: LineTimes,
}

impl ShownJob {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            known: None,
            log: None,
            no_log: None,
            times: LineTimes::from(0),
        }
    }

    /// Returns its state, if that is known.
    pub(super) fn state(&self) -> Option<JobState> {
        let known = self.known.as_ref()?.as_ref().ok()?;
        Some(known.details.job.summary.state)
    }

    /// Returns the log of its latest attempt, if it has had one.
    pub(super) fn log(&self) -> Option<&Log> {
        self.log.as_ref().map(|(_, log)| log)
    }

    /// Returns what is missing of its log.
    pub(super) fn wanted_log(&self) -> Option<WantedLog> {
        let (attempt, log) = self.log.as_ref()?;
        let is_wanted = !log.has_ended() && self.no_log.is_none();
        is_wanted.then(|| WantedLog {
            id: self.id.clone(),
            attempt: *attempt,
            from: log.next(),
        })
    }

    /// Returns when the lines of its log were written.
    pub(super) fn times(&self) -> &LineTimes {
        &self.times
    }

    /// Returns the part of its log whose times are missing.
    pub(super) fn wanted_times(&self) -> Option<WantedTimes> {
        let (attempt, log) = self.log.as_ref()?;
        let (from, to) = self.times.missing(log.next())?;
        Some(WantedTimes {
            id: self.id.clone(),
            attempt: *attempt,
            from,
            to,
        })
    }

    /// Takes a report, if it is about this job.
    pub(super) fn take(&mut self, report: Report) {
        match report {
            Report::Job { id, job } if id == self.id => self.take_job(job),
            Report::Log { log, bytes, next } if self.has(&log) => {
                if let Some((_, of_job)) = &mut self.log {
                    of_job.add(log.from, &bytes, next);
                }
            }
            Report::NoLog { log, why } if self.has(&log) => self.no_log = Some(why),
            Report::Times { part, times, to } if self.is_missing(&part) => {
                self.times.add(&times, to);
            }
            Report::NoTimes { part, why } if self.is_missing(&part) => self.times.fail(why),
            _ => {}
        }
    }

    fn has(&self, wanted: &WantedLog) -> bool {
        let attempt = self.log.as_ref().map(|(attempt, _)| *attempt);
        wanted.id == self.id && Some(wanted.attempt) == attempt
    }

    fn is_missing(&self, part: &WantedTimes) -> bool {
        let missing = self.wanted_times();
        missing.is_some_and(|missing| {
            (missing.id, missing.attempt, missing.from)
                == (part.id.clone(), part.attempt, part.from)
        })
    }

    fn take_job(&mut self, job: Result<Box<KnownJob>, String>) {
        let known = job.as_ref().ok();
        let latest = known.and_then(|known| known.details.job.attempts.last());
        if let Some(latest) = latest
            && self.log.as_ref().map(|(number, _)| *number) != Some(latest.number)
        {
            let from = latest.log_length.saturating_sub(TAIL_BYTES);
            self.log = Some((latest.number, Log::from(from)));
            self.times = LineTimes::from(from);
            self.no_log = None;
        }
        // What was known of it stays on the screen while it cannot be read.
        if job.is_ok() || !matches!(self.known, Some(Ok(_))) {
            self.known = Some(job);
        }
    }
}
