//! Knows everything, and compares it with the promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jobs::{AttemptEnd, AttemptId, Change, JobId, LossReason, NewJob, Outcome, Verdict};
use pool::{ClientId, Time};

use super::logs::Logs;
use super::network::ConnectionId;
use crate::simulate::Counts;
use crate::simulate::disk::Disk;

/// How long a worker may be away before its attempts are given up; also how long it goes on by itself.
pub(crate) const GRACE: Duration = Duration::from_secs(300);

/// A build, as it really is.
#[derive(Debug)]
struct Run {
    worker: usize,
    /// Whether its worker goes on with it while it is disconnected.
    survives: bool,
    /// Everything it ever wrote.
    log: Vec<u8>,
    is_running: bool,
    /// Its worker may stop it: it was asked to, or was alone for the grace period.
    may_stop: bool,
}

/// A submission by a user, however often it is sent.
pub(crate) type WishId = (usize, usize);

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    accepted: BTreeMap<WishId, JobId>,
    /// The jobs that were saved, by what their users wanted.
    submitted: BTreeMap<(ClientId, String), JobId>,
    cancelled: BTreeSet<JobId>,
    shown: BTreeMap<JobId, Outcome>,
    runs: BTreeMap<AttemptId, Run>,
    /// Since when the scheduler has missed each worker; `None` while it is connected.
    missed: BTreeMap<usize, Option<Time>>,
    /// The latest connection over which a scheduler had each worker.
    over: BTreeMap<usize, ConnectionId>,
    /// The disk of a scheduler is gone, and with it logs that nobody else had.
    pub(crate) has_burnt: bool,
    /// When the database last was too late with an answer about the lease.
    pub(crate) last_lost_answer: Option<Time>,
    /// The first promise that was broken.
    problem: Option<String>,
    pub(crate) seen: Counts,
}

impl Oracle {
    /// A promise is broken. The first one is reported.
    pub(crate) fn broken(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    pub(crate) fn problem(&mut self) -> Option<String> {
        self.problem.take()
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        self.seen.count(what);
    }

    /// A client was given the id of its job.
    pub(crate) fn accepted(&mut self, wish: WishId, job: JobId) {
        if let Some(before) = self.accepted.insert(wish, job)
            && before != job
        {
            self.broken(format!(
                "same key, same job: {wish:?} was {before}, and is {job}"
            ));
        }
    }

    pub(crate) fn cancelled(&mut self, job: JobId) {
        self.cancelled.insert(job);
    }

    /// A client was shown the outcome of its job.
    pub(crate) fn shown(&mut self, job: JobId, outcome: &Outcome) {
        match self.shown.insert(job, outcome.clone()) {
            Some(before) if before != *outcome => {
                self.broken(format!(
                    "one outcome: {job} was {before:?}, and is {outcome:?}"
                ));
            }
            _ => {}
        }
    }

    /// A client of a job that has an outcome is shown that it goes on.
    pub(crate) fn shown_unfinished(&mut self, job: JobId) {
        if let Some(before) = self.shown.get(&job) {
            let problem = format!("one outcome: {job} ended as {before:?}, and goes on");
            self.broken(problem);
        }
    }

    /// A worker begins a build.
    pub(crate) fn begins(&mut self, worker: usize, survives: bool, attempt: AttemptId) {
        self.count("run");
        let run = Run {
            worker,
            survives,
            log: Vec::new(),
            is_running: true,
            may_stop: false,
        };
        if self.runs.insert(attempt, run).is_some() {
            self.broken(format!("the log stays: {attempt} begins a second time"));
        }
    }

    pub(crate) fn writes(&mut self, attempt: AttemptId, bytes: &[u8]) {
        if let Some(run) = self.runs.get_mut(&attempt) {
            run.log.extend_from_slice(bytes);
        }
    }

    /// A build does not run any more.
    pub(crate) fn ends(&mut self, attempt: AttemptId) {
        if let Some(run) = self.runs.get_mut(&attempt) {
            run.is_running = false;
        }
    }

    /// A worker may stop an attempt from now on.
    pub(crate) fn may_stop(&mut self, attempt: AttemptId) {
        if let Some(run) = self.runs.get_mut(&attempt) {
            run.may_stop = true;
        }
    }

    /// A client has printed this much of a log.
    pub(crate) fn printed(&mut self, attempt: AttemptId, log: &[u8]) {
        let truth = self.runs.get(&attempt).map_or(&[][..], |run| &run.log);
        if !truth.starts_with(log) {
            self.broken(format!(
                "the log stays: a client sees another log of {attempt} than was written"
            ));
        }
    }

    /// An answer of the database was lost: another scheduler may take longer to lead.
    pub(crate) fn answer_was_lost(&mut self, now: Time) {
        self.last_lost_answer = Some(now);
    }

    /// The scheduler has a connection to a worker.
    pub(crate) fn has_worker(&mut self, worker: usize, connection: ConnectionId) {
        self.missed.insert(worker, None);
        self.over.insert(worker, connection);
    }

    /// The scheduler misses a worker from now on, unless another one has it.
    pub(crate) fn misses_worker(&mut self, worker: usize, over: ConnectionId, now: Time) {
        if self.over.get(&worker) == Some(&over) {
            self.missed.entry(worker).or_default().get_or_insert(now);
        }
    }

    /// The scheduler misses all workers from now on: it is down, or another one leads from now on.
    pub(crate) fn misses_all(&mut self, now: Time) {
        for missed in self.missed.values_mut() {
            missed.get_or_insert(now);
        }
    }

    /// The scheduler saves a change.
    pub(crate) fn saves(&mut self, change: &Change, now: Time) {
        if let Change::Submitted { new, .. } = change {
            self.saves_submission(new);
        }
        if let (Some((Some(number), AttemptEnd::Lost(reason))), job) =
            (change.attempt_end(), change.job())
        {
            self.saves_loss(AttemptId { job, number }, &reason, now);
        }
    }

    /// What a user submits once is one job, however often it is sent.
    fn saves_submission(&mut self, new: &NewJob) {
        let wish = new.key.as_ref().map_or("", |key| key.as_str());
        let wish = (new.client.clone(), wish.trim_end_matches('x').to_owned());
        if let Some(before) = self.submitted.insert(wish, new.id) {
            self.broken(format!(
                "same key, same job: {before} is submitted again, as {}",
                new.id
            ));
        }
    }

    /// An attempt is lost only if its worker was away for the whole return timeout, or does not run it any more.
    fn saves_loss(&mut self, attempt: AttemptId, reason: &LossReason, now: Time) {
        self.count("loss");
        let Some(run) = self.runs.get(&attempt) else {
            return;
        };
        let missed = self.missed.get(&run.worker).copied().flatten();
        let grace = if run.survives { GRACE } else { Duration::ZERO };
        let was_away =
            missed.is_some_and(|since| since + grace <= now) && *reason == LossReason::WorkerGone;
        let was_stopped = !run.may_stop && *reason == LossReason::Abandoned;
        if (run.is_running && !was_away) || was_stopped {
            let problem =
                format!("running jobs go on: {attempt} runs, and is lost because of {reason:?}");
            self.broken(problem);
        }
    }

    /// All has recovered: every job that was accepted has ended as it should.
    pub(crate) fn review(&mut self, disk: &Disk, logs: &Logs) {
        for (wish, job) in &self.accepted {
            let Some(row) = disk.row(*job) else {
                let problem = format!("accepted means kept: {job} of {wish:?} is gone");
                self.problem.get_or_insert(problem);
                continue;
            };
            let Some(outcome) = &row.outcome else {
                let problem = format!("accepted means kept: {job} of {wish:?} never ends");
                self.problem.get_or_insert(problem);
                continue;
            };
            if self.cancelled.contains(job) && !matches!(outcome, Outcome::Cancelled(_)) {
                let problem = format!("cancelled means cancelled: {job} ended as {outcome:?}");
                self.problem.get_or_insert(problem);
            }
            let deciding = AttemptId {
                job: *job,
                number: row.saved.attempts,
            };
            if let Outcome::Done(Verdict::Succeeded(_) | Verdict::Failed { .. }) = outcome {
                let run = self.runs.get(&deciding);
                if self.has_burnt && run.is_some_and(|run| !run.survives) {
                    continue;
                }
                let truth = run.map_or(&[][..], |run| &run.log);
                if logs.read(deciding, 0) != truth {
                    let kept = logs.length(deciding);
                    let problem = format!(
                        "the log stays: {kept} of {} bytes of {deciding} are kept",
                        truth.len()
                    );
                    self.problem.get_or_insert(problem);
                }
            }
        }
    }
}
