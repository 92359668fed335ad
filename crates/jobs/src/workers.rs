//! What workers do, and what happens to them.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pool::{Time, WorkerName};

use crate::fault::Fault;
use crate::{
    Attempt, AttemptEnd, AttemptId, Change, Effect, HeldAnswer, JobId, Jobs, LossReason, Outcome,
    RequestId, Stage,
};

/// An attempt on its way to be acknowledged.
#[derive(Debug)]
pub(crate) struct Settling {
    pub(crate) worker: WorkerName,
    /// The pool of that worker; `None` if the job had been dropped before.
    pub(crate) pool: Option<Arc<str>>,
    /// Its end is saved, or about to be.
    pub(crate) ended: bool,
    /// Its log is on disk, whole.
    pub(crate) log_kept: bool,
}

/// An attempt that a worker has when it returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The attempt.
    pub attempt: AttemptId,
    /// How far it has come.
    pub state: HeldState,
}

/// How far an attempt has come that a worker has when it returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldState {
    /// It runs.
    Running,
    /// It has ended, and was not acknowledged.
    Ended(AttemptEnd),
}

impl Jobs {
    /// The pool has found a worker for a queued job. Returns the attempt, whose [`Start`](Effect::Start) follows once
    /// it is on disk; `None` if the job is not queued.
    ///
    /// `survives` tells whether the worker keeps its jobs while its connection is broken.
    pub fn assign(
        &mut self,
        now: Time,
        id: JobId,
        worker: &WorkerName,
        survives: bool,
    ) -> Option<AttemptId> {
        self.now = self.now.max(now);
        let reuses = self.planted(Fault::ReusesNumbers);
        let job = self.jobs.get_mut(&id)?;
        let Stage::Queued { .. } = job.stage else {
            return None;
        };
        if !(reuses && job.attempts > 0) {
            job.attempts = job.attempts.saturating_add(1);
        }
        let attempt_id = AttemptId {
            job: id,
            number: job.attempts,
        };
        let attempt = Attempt {
            number: job.attempts,
            worker: worker.clone(),
            survives,
            started: self.now,
        };
        job.stage = Stage::Assigned(attempt.clone());
        self.workers
            .entry(worker.clone())
            .or_default()
            .insert(attempt_id);
        self.outbox.save(Change::Assigned { job: id, attempt });
        let start = Effect::Start {
            attempt: attempt_id,
            worker: worker.clone(),
        };
        if self.planted(Fault::StartsUnsaved) {
            self.outbox.at_once(start);
            self.received(attempt_id);
        } else {
            self.outbox.once_saved(start);
        }
        self.set_alarm(id);
        Some(attempt_id)
    }

    /// The worker receives its attempt now.
    pub(crate) fn received(&mut self, id: AttemptId) {
        let Some(job) = self.jobs.get_mut(&id.job) else {
            return;
        };
        if let Stage::Assigned(attempt) = &job.stage
            && attempt.number == id.number
        {
            job.stage = Stage::Running(attempt.clone());
            job.last_log = self.now;
            self.changed(id.job);
        }
    }

    /// An attempt wrote to its log. Cheap, and may be called for every piece.
    pub fn log_grew(&mut self, now: Time, id: AttemptId) {
        self.now = self.now.max(now);
        if let Some(job) = self.jobs.get_mut(&id.job)
            && job.has(id).is_some()
        {
            // The alarm may be earlier than it needs to be now: it is set anew when it goes off.
            job.last_log = self.now;
        }
    }

    /// An attempt has ended on its worker.
    ///
    /// If it is the current one of its job, the job has ended with it, or waits again. The end is acknowledged
    /// once it is on disk and [`log_kept`](Self::log_kept) was called.
    pub fn attempt_ended(
        &mut self,
        now: Time,
        id: AttemptId,
        worker: &WorkerName,
        end: AttemptEnd,
    ) {
        self.now = self.now.max(now);
        let reason = match &end {
            AttemptEnd::Done(_) => None,
            // Nobody asked for it, or the attempt would not be the current one.
            AttemptEnd::Stopped => Some(LossReason::Abandoned),
            AttemptEnd::Lost(reason) => Some(reason.clone()),
        };
        let current = self
            .jobs
            .get(&id.job)
            .is_some_and(|job| job.has(id).is_some_and(|a| a.worker == *worker));
        match (current, end, reason) {
            (true, AttemptEnd::Done(verdict), _)
                if self.planted(Fault::RetriesFailures) && verdict.is_failure() =>
            {
                self.lose(id, LossReason::Crashed);
            }
            (true, AttemptEnd::Done(verdict), _) => {
                self.take_attempt(id);
                self.end_without_worker(id.job, Outcome::Done(verdict));
            }
            (true, _, Some(reason)) => self.lose(id, reason),
            (_, end, _) => {
                if let AttemptEnd::Done(verdict) = &end
                    && self.planted(Fault::LateEndsCount)
                    && self.jobs.contains_key(&id.job)
                {
                    self.end(id.job, Outcome::Done(verdict.clone()));
                }
                self.outbox.save(Change::AttemptEnded {
                    attempt: id,
                    end,
                    at: self.now,
                });
            }
        }
        self.settling(id, worker).ended = true;
        self.expect_acknowledgement(id);
        self.acknowledge(id);
    }

    /// The log of an attempt is on disk, whole.
    pub fn log_kept(&mut self, id: AttemptId, worker: &WorkerName) {
        self.settling(id, worker).log_kept = true;
        self.acknowledge(id);
    }

    fn settling(&mut self, id: AttemptId, worker: &WorkerName) -> &mut Settling {
        let pool = self.jobs.get(&id.job).map(|job| job.new.pool.clone());
        self.settling.entry(id).or_insert_with(|| Settling {
            worker: worker.clone(),
            pool,
            ended: false,
            log_kept: false,
        })
    }

    fn acknowledge(&mut self, id: AttemptId) {
        let log_missing_will_do = self.planted(Fault::AcknowledgesWithoutLog);
        if let Some(settling) = self.settling.get(&id)
            && settling.ended
            && (settling.log_kept || log_missing_will_do)
        {
            let acknowledge = Effect::Acknowledge {
                attempt: id,
                worker: settling.worker.clone(),
            };
            self.settling.remove(&id);
            if self.planted(Fault::AcknowledgesUnsaved) {
                self.outbox.at_once(acknowledge);
            } else {
                self.outbox.once_saved(acknowledge);
            }
        }
    }

    /// The connection to a worker of a pool is lost. What it runs may continue without it; see
    /// [`Config::return_timeout`](crate::Config::return_timeout).
    pub fn worker_left(&mut self, now: Time, pool: &str, worker: &WorkerName) {
        self.now = self.now.max(now);
        // It lists them again when it returns.
        let is_left = |_: &AttemptId, settling: &mut Settling| {
            let elsewhere = settling.pool.as_deref().is_some_and(|of| of != pool);
            settling.worker == *worker && !elsewhere
        };
        for (id, _) in self.settling.extract_if(.., is_left) {
            self.unacknowledged.remove(&id);
        }
        for id in self.attempts_of(pool, worker) {
            let Some(job) = self.jobs.get_mut(&id.job) else {
                continue;
            };
            match job.stage.clone() {
                Stage::Assigned(_) => self.not_received(id),
                Stage::Running(attempt)
                    if attempt.survives && !self.planted(Fault::NoReturnTimeout) =>
                {
                    self.goes_away(id.job, attempt);
                }
                Stage::Running(_) => self.lose(id, LossReason::WorkerGone),
                Stage::Away { .. } | Stage::Queued { .. } | Stage::Ended { .. } => {}
            }
        }
    }

    pub(crate) fn goes_away(&mut self, id: JobId, attempt: Attempt) {
        let until = self.now + self.config.return_timeout;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.stage = Stage::Away { attempt, until };
            self.changed(id);
        }
    }

    /// A worker left that had not received its attempt: the job waits again, and no attempt was lost.
    fn not_received(&mut self, id: AttemptId) {
        if self.take_attempt(id).is_some() {
            self.requeue(id.job, self.now, None);
        }
    }

    /// Returns the current attempts of a worker. Workers of different pools may have the same name.
    fn attempts_of(&self, pool: &str, worker: &WorkerName) -> BTreeSet<AttemptId> {
        let is_of_pool = |id: &&AttemptId| {
            let job = self.jobs.get(&id.job);
            job.is_some_and(|job| *job.new.pool == *pool)
        };
        let attempts = self.workers.get(worker).into_iter().flatten();
        attempts.filter(is_of_pool).copied().collect()
    }

    /// A worker has connected that keeps nothing while it is disconnected. What it had kept under this name before, as
    /// another program, is lost.
    pub fn worker_replaced(&mut self, now: Time, pool: &str, worker: &WorkerName) {
        self.now = self.now.max(now);
        for id in self.attempts_of(pool, worker) {
            let stage = self.jobs.get(&id.job).map(|job| &job.stage);
            if let Some(Stage::Away { .. }) = stage {
                self.lose(id, LossReason::NotHeld);
            }
        }
    }

    /// A worker of a pool has connected, with what it still holds from before. The request is answered with what is to
    /// become of each.
    ///
    /// What this scheduler believes to be with that worker and is not in the list is lost. Call
    /// [`worker_left`](Self::worker_left) first for the connection that this one replaces. An attempt that has ended
    /// meanwhile and is to be kept goes on until its log is here, too: report its end then, with
    /// [`attempt_ended`](Self::attempt_ended).
    pub fn worker_returned(
        &mut self,
        now: Time,
        pool: &str,
        worker: &WorkerName,
        held: Vec<Held>,
        request: RequestId,
    ) {
        self.now = self.now.max(now);
        let mut missing = self.attempts_of(pool, worker);
        let mut answers = Vec::with_capacity(held.len());
        for Held { attempt: id, state } in held {
            let current = missing.remove(&id) || self.planted(Fault::AdoptsAnything);
            match state {
                HeldState::Running | HeldState::Ended(_) if current => self.goes_on(id),
                // Another worker has it: only that one knows its end.
                HeldState::Ended(_) if self.is_current(id) => {}
                HeldState::Running => {}
                HeldState::Ended(end) => {
                    self.outbox.save(Change::AttemptEnded {
                        attempt: id,
                        end,
                        at: self.now,
                    });
                }
            }
            answers.push(if current {
                HeldAnswer::Keep
            } else {
                HeldAnswer::Forget
            });
        }
        for id in missing {
            self.lose(id, LossReason::NotHeld);
        }
        self.outbox.once_saved(Effect::AnswerReturn {
            request,
            held: answers,
        });
    }

    /// The worker of an attempt is back and runs it, if it is the current one.
    fn goes_on(&mut self, id: AttemptId) {
        let Some(job) = self.jobs.get_mut(&id.job) else {
            return;
        };
        if let Some(attempt) = job.has(id).cloned() {
            job.stage = Stage::Running(attempt);
            job.last_log = self.now;
            self.totals.adopted += 1;
            self.changed(id.job);
        }
    }

    /// An attempt is no longer a current one.
    pub(crate) fn release(&mut self, worker: &WorkerName, id: AttemptId) {
        if let Some(attempts) = self.workers.get_mut(worker) {
            attempts.remove(&id);
            if attempts.is_empty() {
                self.workers.remove(worker);
            }
        }
    }
}
