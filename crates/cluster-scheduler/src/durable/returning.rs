//! Workers that keep what they run while they are disconnected, and return with it.

use std::rc::{Rc, Weak};
use std::time::Duration;

use cluster_api::{AttemptName, HeldAttempt, HeldState as WireState, Job};
use jobs::{
    AttemptEnd, AttemptId, Held, HeldAnswer, HeldState, LossReason, NewJob, RequestId, Stage,
};
use pool::{TicketId, WorkerId, WorkerName};
use visible::counted;

use super::state::{HeldJob, Return, Run};
use super::{DurableJobs, convert};
use crate::config::PoolName;
use crate::history::JobResult;
use crate::reactor::Reactor;

/// A worker that keeps its durable jobs is connected, until this is dropped.
pub(crate) struct WorkerPresence {
    jobs: Weak<DurableJobs>,
    pool: PoolName,
    name: WorkerName,
}

impl Drop for WorkerPresence {
    fn drop(&mut self) {
        // There are no jobs any more when the scheduler ends.
        if let Some(jobs) = self.jobs.upgrade() {
            jobs.worker_left(&self.pool, &self.name);
        }
    }
}

impl DurableJobs {
    /// Returns how long a worker that has left may take to return.
    pub(crate) fn return_timeout(&self) -> Duration {
        self.settings.worker_grace
    }

    /// A worker has connected that keeps nothing while it is disconnected.
    pub(crate) fn worker_replaced(&self, pool: &PoolName, name: &WorkerName) {
        self.apply(|jobs, now| jobs.worker_replaced(now, pool.as_str(), name));
    }

    /// A worker has connected, with what it has kept.
    pub(crate) fn worker_returned(
        &self,
        pool: &PoolName,
        name: &WorkerName,
        registration: WorkerId,
        held: Vec<HeldAttempt>,
    ) -> WorkerPresence {
        let (mut jobs, mut reported) = (Vec::new(), Vec::new());
        for HeldAttempt {
            attempt,
            job,
            state,
        } in held
        {
            let Some(id) = attempt_id(&attempt) else {
                // No scheduler of ours has handed it out.
                forget(job);
                continue;
            };
            let is_interrupted = state == WireState::Interrupted;
            let is_running = state == WireState::Running;
            reported.push(Held {
                attempt: id,
                state: held_state(state),
            });
            jobs.push(HeldJob {
                attempt: id,
                job,
                is_interrupted,
                is_running,
            });
        }
        if !jobs.is_empty() {
            let number = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
            tracing::info!(
                target: "scheduler",
                "Worker {:?} returned with {}", name.as_str(), counted(number, "durable job")
            );
        }
        let request = {
            let mut state = self.state.borrow_mut();
            let request = state.next_request();
            let returned = Return {
                pool: pool.clone(),
                worker: name.clone(),
                registration,
                held: jobs,
            };
            state.returns.insert(request, returned);
            request
        };
        self.apply(|jobs, now| jobs.worker_returned(now, pool.as_str(), name, reported, request));
        WorkerPresence {
            jobs: Weak::clone(&self.this),
            pool: pool.clone(),
            name: name.clone(),
        }
    }

    /// A worker could not register, as another one has its name. It need not keep what was given up.
    pub(crate) fn worker_refused(&self, held: Vec<HeldAttempt>) {
        for HeldAttempt { attempt, job, .. } in held {
            let was_given_up = attempt_id(&attempt).is_none_or(|id| self.was_given_up(id));
            if was_given_up {
                forget(job);
            }
        }
    }

    /// Tells whether an attempt is not the current one of its job, and that is on disk as far as it matters.
    fn was_given_up(&self, id: AttemptId) -> bool {
        let state = self.state.borrow();
        match state.jobs.stage(id.job) {
            // Its end is not on disk yet.
            Some(Stage::Ended { .. }) => false,
            Some(stage) => stage
                .attempt()
                .is_none_or(|current| current.number != id.number),
            None => true,
        }
    }

    fn worker_left(&self, pool: &PoolName, name: &WorkerName) {
        let left = |returned: &Return| returned.pool == *pool && returned.worker == *name;
        let pending: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state
                .returns
                .extract_if(|_, returned| left(returned))
                .collect()
        };
        drop(pending);
        self.apply(|jobs, now| jobs.worker_left(now, pool.as_str(), name));
    }

    /// It is on disk what becomes of the attempts that a worker has returned with.
    pub(super) fn return_answered(&self, request: RequestId, answers: Vec<HeldAnswer>) {
        let returned = self.state.borrow_mut().returns.remove(&request);
        // The worker may have left again.
        let Some(Return {
            pool,
            worker,
            registration,
            held,
        }) = returned
        else {
            return;
        };
        for (held, answer) in held.into_iter().zip(answers) {
            match answer {
                HeldAnswer::Keep => self.adopt(&pool, &worker, registration, held),
                HeldAnswer::Forget => {
                    tracing::info!(
                        target: "scheduler",
                        "Worker {:?} still had {}, which has ended or was given up", worker.as_str(), held.attempt
                    );
                    if let Some(this) = self.this.upgrade() {
                        tokio::task::spawn_local(this.forget_returned(held));
                    }
                }
            }
        }
    }

    /// Follows an attempt again.
    fn adopt(&self, pool: &PoolName, worker: &WorkerName, registration: WorkerId, held: HeldJob) {
        let HeldJob {
            attempt,
            job,
            is_interrupted,
            is_running,
        } = held;
        let Some(this) = self.this.upgrade() else {
            return;
        };
        let run = Rc::new(Run {
            attempt,
            worker: worker.clone(),
            outlives_connection: true,
            is_interrupted,
        });
        // An attempt that has ended does not count as running.
        let adopted = if is_running {
            self.count_as_running(pool, registration, attempt)
        } else {
            None
        };
        self.began(&run, job.clone(), adopted);
        tokio::task::spawn_local(this.follow_returned(run, job));
    }

    /// Has a pool count an attempt among the jobs that a worker runs.
    fn count_as_running(
        &self,
        pool: &PoolName,
        registration: WorkerId,
        attempt: AttemptId,
    ) -> Option<(Rc<Reactor>, TicketId)> {
        let pool = self.pools.get(pool)?;
        let submitted = self.state.borrow().jobs.submitted(attempt.job).cloned()?;
        let NewJob {
            client,
            hint,
            urgent,
            ..
        } = submitted;
        let ticket = pool.adopt(registration, attempt.job, &client, &hint, urgent)?;
        Some((Rc::clone(pool), ticket))
    }

    /// The log and the end of an attempt are on disk.
    pub(super) fn acknowledge(&self, attempt: AttemptId) {
        let followed = self.state.borrow_mut().runs.remove(&attempt);
        if let Some(followed) = followed {
            if followed.run.outlives_connection {
                forget(followed.job.clone());
            }
            // It does not run, so the pool was told of its end.
            followed.end(JobResult::Lost);
        }
    }
}

/// Tells a worker that it need not keep an attempt any longer. If it does not get to know, it lists it again.
pub(super) fn forget(job: Job) {
    let forgotten = job.forget();
    tokio::task::spawn_local(async move {
        if let Err(error) = forgotten.await {
            tracing::debug!(target: "scheduler", "A worker did not forget a job: {error}");
        }
    });
}

fn attempt_id(attempt: &AttemptName) -> Option<AttemptId> {
    Some(AttemptId {
        job: attempt.job.parse().ok()?,
        number: attempt.number,
    })
}

fn held_state(state: WireState) -> HeldState {
    match state {
        WireState::Running => HeldState::Running,
        WireState::Ended(outcome) => HeldState::Ended(convert::attempt_end(outcome)),
        WireState::Interrupted => HeldState::Ended(AttemptEnd::Lost(LossReason::Interrupted)),
    }
}
