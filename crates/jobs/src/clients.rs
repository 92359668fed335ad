//! What clients and operators do.

use alloc::boxed::Box;
use core::fmt;

use pool::Time;

use crate::job::{Job, Watched};
use crate::{
    CancelledBy, Change, Departure, Effect, JobId, Jobs, NewJob, Outcome, RequestId, Stage,
    Unwatched, Verdict,
};

/// Why a job cannot be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelError {
    /// It has ended, and that is on disk; or there is no such job.
    Ended,
}

impl fmt::Display for CancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the job has ended"),
        }
    }
}

impl core::error::Error for CancelError {}

impl Jobs {
    /// A client submits a job, and watches it from now on.
    ///
    /// Returns the id of the job: another one than `new.id` if the client has submitted it before, with the same key,
    /// and it has not ended. (Jobs that have ended are the caller's to look up, before this.) The request is answered
    /// once the job is on disk; or [refused](Effect::Refuse).
    pub fn submit(&mut self, now: Time, new: NewJob, request: RequestId) -> JobId {
        self.now = self.now.max(now);
        let known = new
            .key
            .as_ref()
            .and_then(|key| self.with_key(&new.client, key));
        if let Some(job) = known {
            self.watch(job);
            self.outbox.once_saved(Effect::Answer { request, job });
            return job;
        }
        let id = new.id;
        let submission = self.outbox.save(Change::Submitted {
            new: new.clone().into(),
            at: self.now,
        });
        self.outbox.once_saved(Effect::Answer { request, job: id });
        if let Some(key) = &new.key {
            self.keys.insert((new.client.clone(), key.clone()), id);
        }
        let job = Job {
            new,
            fair_start: None,
            stage: Stage::Queued { since: self.now },
            attempts: 0,
            losses: alloc::vec::Vec::new(),
            watched: Watched::By(1),
            last_log: self.now,
            version: 0,
            alarm: None,
            submission,
        };
        self.jobs.insert(id, Box::new(job));
        self.enqueue(id);
        self.changed(id);
        id
    }

    /// The pool has given a job its place in the queue.
    pub fn placed(&mut self, id: JobId, fair_start: Time) {
        if let Some(job) = self.jobs.get_mut(&id)
            && job.fair_start != Some(fair_start)
        {
            job.fair_start = Some(fair_start);
            self.outbox.save(Change::Placed {
                job: id,
                fair_start,
            });
        }
    }

    /// The worker that the pool had found for a queued job left before [`assign`](Self::assign): the job goes back to
    /// its queue. Nothing happens if it is not queued.
    pub fn queue_again(&mut self, id: JobId) {
        if self.is_queued(id) {
            self.enqueue(id);
        }
    }

    /// Another client watches a job, or the same one again.
    pub fn watch(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.watched = match job.watched {
                Watched::By(clients) => Watched::By(clients.saturating_add(1)),
                Watched::Left { .. } => Watched::By(1),
            };
            self.set_alarm(id);
        }
    }

    /// A client that watched a job has left it.
    pub fn unwatch(&mut self, now: Time, id: JobId, departure: Departure) {
        self.now = self.now.max(now);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.watched = match job.watched {
            Watched::By(clients) if clients > 1 => Watched::By(clients - 1),
            Watched::By(_) => match job.new.terms.unwatched {
                Unwatched::Cancelled(timeouts) => Watched::Left {
                    until: self.now + timeouts.after(departure),
                },
                Unwatched::GoesOn => Watched::By(0),
            },
            left @ Watched::Left { .. } => left,
        };
        self.set_alarm(id);
    }

    /// A client or an operator cancels a job. It has ended with that; the request is answered once this is on disk. If
    /// it had ended before, [that](Effect::AnswerEnded) is the answer, once it is on disk.
    ///
    /// # Errors
    ///
    /// [`CancelError::Ended`] when there is nothing to cancel. The request is not answered then.
    pub fn cancel(
        &mut self,
        now: Time,
        id: JobId,
        by: CancelledBy,
        request: RequestId,
    ) -> Result<(), CancelError> {
        self.now = self.now.max(now);
        let answer = match self.stage(id) {
            None => return Err(CancelError::Ended),
            Some(Stage::Ended { .. }) => Effect::AnswerEnded { request, job: id },
            Some(_) => {
                self.end(id, Outcome::Cancelled(by));
                Effect::Answer { request, job: id }
            }
        };
        self.outbox.once_saved(answer);
        Ok(())
    }

    /// A queued job can be run by no worker: it ends as refused. Nothing happens if it is not queued.
    pub fn refuse(&mut self, now: Time, id: JobId, reason: &str) {
        self.now = self.now.max(now);
        if let Some(Stage::Queued { .. }) = self.stage(id) {
            let reason = reason.into();
            self.end(id, Outcome::Done(Verdict::Refused { reason }));
        }
    }
}
