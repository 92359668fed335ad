//! Performs the effects that the jobs ask for.

use std::rc::Rc;

use cluster_api::{Job, RpcError, TicketEnd};
use jobs::{AttemptId, CancelError, Effect, JobId, RequestId, Stage};

use super::live::View;
use super::queue::Enqueued;
use super::state::{HeldAssignment, Run, State};
use super::{Answer, DurableJobs};
use crate::reactor::Cancelled;

impl DurableJobs {
    /// Performs everything the jobs have asked for. Effects may cause others, so this may be called by itself.
    pub(super) fn perform(&self) {
        while let Some(effect) = self.next_effect() {
            match effect {
                Effect::Save(number, change) => self.save(number, change),
                Effect::Enqueue {
                    job,
                    client,
                    pool: _,
                    hint,
                    urgent,
                    fair_start,
                } => self.enqueue(Enqueued {
                    job,
                    client,
                    hint,
                    urgent,
                    fair_start,
                }),
                Effect::Withdraw { job } => self.withdraw(job),
                Effect::Start { attempt, .. } => self.start(attempt),
                Effect::Unassign { attempt, .. } => {
                    let unassigned = self.state.borrow_mut().held.remove(&attempt);
                    // The worker waits for another job.
                    drop(unassigned);
                }
                Effect::Stop { attempt, .. } => self.stop(attempt),
                Effect::Answer { request, job } => {
                    if let Some(live) = self.state.borrow_mut().live.get_mut(&job) {
                        live.description = None;
                    }
                    self.answer(request, Ok(job));
                }
                Effect::AnswerEnded { request, .. } => self.answer(request, Err(has_ended())),
                Effect::Refuse { request, job } => {
                    self.discard(job);
                    self.state.borrow_mut().live.remove(&job);
                    let cause = self.save_error.borrow().clone().unwrap_or_default();
                    let error = format!("cannot save the job: {cause}; submit it again later");
                    self.answer(request, Err(RpcError::overloaded(error)));
                }
                Effect::Changed {
                    job,
                    version,
                    stage,
                } => self.show(job, version, stage),
                Effect::Acknowledge { attempt, .. } => self.acknowledge(attempt),
                Effect::AnswerReturn { request, held } => self.return_answered(request, held),
            }
        }
        self.set_timer();
    }

    fn set_timer(&self) {
        let deadline = self.state.borrow().jobs.next_deadline();
        if self.deadline.replace(deadline) != deadline {
            self.wake.notify_one();
        }
    }

    fn next_effect(&self) -> Option<Effect> {
        self.state.borrow_mut().jobs.next_effect()
    }

    fn answer(&self, request: RequestId, answer: Answer) {
        let waiting = self.state.borrow_mut().requests.remove(&request);
        if let Some(waiting) = waiting {
            // An error means that the caller does not wait any more.
            drop(waiting.send(answer));
        }
    }

    fn show(&self, job: JobId, version: u64, stage: Stage) {
        let mut state = self.state.borrow_mut();
        let has_ended = matches!(stage, Stage::Ended { .. });
        if let Some(live) = state.live.get(&job) {
            let attempts = live.attempts;
            // When this is shown, a worker may have been chosen already.
            let waits_again = attempts > 0 && Self::is_waiting(&state.jobs, job);
            live.shown.send_replace(View {
                version,
                stage,
                attempts,
            });
            let attempt = AttemptId {
                job,
                number: attempts,
            };
            if waits_again || has_ended && attempts > 0 {
                self.finish_abandoned(&state, attempt);
            }
        }
        let ended = has_ended.then(|| state.live.remove(&job)).flatten();
        if let Some(live) = ended {
            let attempt = AttemptId {
                job,
                number: live.attempts,
            };
            if state.runs.contains_key(&attempt) && !live.log.get().is_complete {
                state.ending_logs.insert(attempt, live.log);
            }
        }
    }

    /// The pool has found a worker for a queued job, which will serve it as `job`. The worker is answered once that is
    /// on disk.
    pub(super) fn assigned(
        &self,
        id: JobId,
        job: Job,
        worker: pool::WorkerName,
        outlives_connection: bool,
        give: Box<dyn FnOnce(AttemptId)>,
    ) {
        let now = self.clock.unix_now();
        let assigned = self
            .state
            .borrow_mut()
            .jobs
            .assign(now, id, &worker, outlives_connection);
        let Some(attempt) = assigned else {
            return;
        };
        let run = Rc::new(Run {
            attempt,
            worker,
            outlives_connection,
            is_interrupted: false,
        });
        {
            let state = &mut *self.state.borrow_mut();
            let held = HeldAssignment { run, job, give };
            state.held.insert(attempt, held);
            let live = state.live.get_mut(&id);
            if let Some(number) = live.and_then(|live| live.begins(attempt.number)) {
                self.finish_abandoned(state, AttemptId { job: id, number });
            }
        }
        self.perform();
    }

    /// Completes the log of an attempt that was given up, unless it is followed to its end. Nothing is added to the log
    /// of one that its worker was to return with.
    fn finish_abandoned(&self, state: &State, attempt: AttemptId) {
        let is_followed = state.runs.contains_key(&attempt);
        if let (false, Some(this)) = (is_followed, self.this.upgrade()) {
            tokio::task::spawn_local(async move { this.finish_log(attempt).await });
        }
    }

    fn withdraw(&self, job: JobId) {
        let queued = self.state.borrow_mut().live.get_mut(&job).and_then(|live| {
            let pool = Rc::clone(&live.pool);
            live.ticket.take().map(|ticket| (pool, ticket))
        });
        if let Some((pool, ticket)) = queued {
            let (Cancelled::Queued | Cancelled::NotQueued) =
                pool.cancel(ticket, TicketEnd::Cancelled);
        }
    }

    fn start(&self, attempt: AttemptId) {
        let held = self.state.borrow_mut().held.remove(&attempt);
        if let (Some(HeldAssignment { run, job, give }), Some(this)) = (held, self.this.upgrade()) {
            self.began(&run, job.clone(), None);
            tokio::task::spawn_local(this.follow(run, job, 0));
            give(attempt);
        }
    }

    fn stop(&self, attempt: AttemptId) {
        let job = {
            let state = self.state.borrow();
            let followed = state.runs.get(&attempt);
            followed.map(|followed| followed.job.clone())
        };
        // One whose worker is away is not followed: the worker forgets it when it returns.
        if let Some(job) = job {
            let stopped = job.cancel();
            // An error means that the worker is gone, and the attempt with it.
            tokio::task::spawn_local(async move { drop(stopped.await) });
        }
    }
}

/// The error of a request to cancel a job that has ended.
fn has_ended() -> RpcError {
    RpcError::failed(CancelError::Ended.to_string())
}
