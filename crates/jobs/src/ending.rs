//! The steps that several events share: a job waits, is lost, ends.

use pool::Time;

use crate::fault::Fault;
use crate::{AttemptId, Change, Effect, JobId, Jobs, Loss, LossReason, Outcome, Stage};

impl Jobs {
    /// Has the job put into its pool's queue. That waits for no disk: the worker that is found there does.
    pub(crate) fn enqueue(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get(&id) {
            let enqueue = Effect::Enqueue {
                job: id,
                client: job.new.client.clone(),
                pool: job.new.pool.clone(),
                hint: job.new.hint.clone(),
                urgent: job.new.urgent,
                fair_start: job.fair_start,
            };
            self.outbox.at_once(enqueue);
        }
    }

    /// The stage of a job has changed: its watchers see the new one, and its limits are set anew.
    pub(crate) fn changed(&mut self, id: JobId) {
        self.set_alarm(id);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.version += 1;
        self.outbox.once_saved(Effect::Changed {
            job: id,
            version: job.version,
            stage: job.stage.clone(),
        });
    }

    /// Ends a job. If a worker has it, that attempt is given up.
    pub(crate) fn end(&mut self, id: JobId, outcome: Outcome) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let ended = Stage::Ended {
            outcome: outcome.clone(),
            at: self.now,
        };
        let before = core::mem::replace(&mut job.stage, ended);
        self.totals.ended(&outcome);
        let saved_by = self.outbox.save(Change::Ended {
            job: id,
            outcome,
            at: self.now,
        });
        self.ending.push_back((saved_by, id));
        let was_received = !matches!(before, Stage::Assigned(_));
        match before {
            Stage::Queued { .. } => self.outbox.at_once(Effect::Withdraw { job: id }),
            Stage::Assigned(attempt) | Stage::Running(attempt) | Stage::Away { attempt, .. } => {
                let attempt_id = AttemptId {
                    job: id,
                    number: attempt.number,
                };
                self.release(&attempt.worker, attempt_id);
                if was_received {
                    let worker = attempt.worker;
                    self.outbox.once_saved(Effect::Stop {
                        attempt: attempt_id,
                        worker,
                    });
                }
            }
            Stage::Ended { .. } => {}
        }
        self.changed(id);
    }

    /// The current attempt of a job has ended by itself, or never began: no worker has it any more.
    ///
    /// Returns the attempt, if it is the current one.
    pub(crate) fn take_attempt(&mut self, id: AttemptId) -> Option<crate::Attempt> {
        let job = self.jobs.get_mut(&id.job)?;
        let attempt = job.has(id)?.clone();
        // The caller decides what comes next, and saves it.
        job.stage = Stage::Queued { since: self.now };
        self.release(&attempt.worker, id);
        Some(attempt)
    }

    /// The current attempt of a job is lost: the job is tried again, or ends as lost.
    pub(crate) fn lose(&mut self, id: AttemptId, reason: LossReason) {
        let Some(attempt) = self.take_attempt(id) else {
            return;
        };
        let loss = Loss {
            attempt: id.number,
            worker: attempt.worker,
            reason,
            at: self.now,
        };
        let tries_for_ever = self.planted(Fault::TriesForEver);
        let Some(job) = self.jobs.get_mut(&id.job) else {
            return;
        };
        job.losses.push(loss.clone());
        let spent = job.losses.len() >= usize::from(job.new.terms.attempts.get());
        if spent && !tries_for_ever {
            let losses = job.losses.clone();
            self.end_without_worker(id.job, Outcome::Lost(losses));
        } else {
            self.totals.retried += 1;
            self.requeue(id.job, self.now, Some(loss));
        }
    }

    /// Ends a job whose attempt has ended: no queue holds it, and no worker.
    pub(crate) fn end_without_worker(&mut self, id: JobId, outcome: Outcome) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.stage = Stage::Ended {
            outcome: outcome.clone(),
            at: self.now,
        };
        self.totals.ended(&outcome);
        let saved_by = self.outbox.save(Change::Ended {
            job: id,
            outcome,
            at: self.now,
        });
        self.ending.push_back((saved_by, id));
        self.changed(id);
    }

    /// Has a job wait again, in its old place.
    pub(crate) fn requeue(&mut self, id: JobId, since: Time, loss: Option<Loss>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.stage = Stage::Queued { since };
        self.outbox.save(Change::Requeued {
            job: id,
            since,
            loss,
        });
        if !self.planted(Fault::ForgetsToRequeue) {
            self.enqueue(id);
        }
        self.changed(id);
    }
}
