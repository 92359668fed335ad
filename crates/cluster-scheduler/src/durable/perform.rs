//! Performs the effects that the jobs ask for.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{EncodedDescription, Job, RpcError, TicketEnd};
use job_store::{Reader as _, Sealed, StoreError, Write};
use jobs::{AttemptId, CancelError, CancelledBy, Change, Effect, JobId, RequestId, Stage};
use pool::ClientId;

use super::follow::{NOBODY, Run};
use super::live::{LogState, View};
use super::{Answer, DurableJobs};
use crate::reactor::Cancelled;
use crate::tickets::Request;

/// How long to wait before a description that could not be read is read again.
const REREAD_AFTER: Duration = Duration::from_secs(5);

/// A worker that is to get an attempt. Calling it answers the worker; dropping it fails the worker's call.
pub(super) type HeldAssignment = Box<dyn FnOnce()>;

impl DurableJobs {
    /// Performs everything the jobs have asked for. Effects may cause others, so this may be called by itself.
    pub(super) fn perform(&self) {
        while let Some(effect) = self.next_effect() {
            match effect {
                Effect::Save(number, change) => {
                    let details = match &change {
                        Change::Submitted { new, .. } => self.take_details(new.id),
                        _ => None,
                    };
                    if let Some(committer) = &*self.committer.borrow() {
                        committer.save(number, Write::new(change, details));
                    }
                }
                Effect::Enqueue {
                    job,
                    client,
                    urgent,
                    ..
                } => self.enqueue(job, client, urgent),
                Effect::Withdraw { job } => self.withdraw(job),
                Effect::Start { attempt, .. } => self.start(attempt),
                Effect::Unassign { attempt, .. } => {
                    // The worker gets it, and is asked to stop at once: a call that fails would disturb its other jobs.
                    self.start(attempt);
                    self.stop(attempt);
                }
                Effect::Stop { attempt, .. } => self.stop(attempt),
                Effect::Answer { request, job } => self.answer(request, Ok(job)),
                Effect::Refuse { request, job } => {
                    if let Some(committer) = &*self.committer.borrow() {
                        committer.discard(job);
                    }
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
                // Workers do not return yet: what they run is lost with their connection.
                Effect::Acknowledge { .. } | Effect::AnswerReturn { .. } => {}
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

    fn take_details(&self, job: JobId) -> Option<job_store::Details> {
        self.state.borrow_mut().live.get_mut(&job)?.details.take()
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
            live.shown.send_replace(View {
                version,
                stage,
                attempts,
            });
        }
        let ended = has_ended.then(|| state.live.remove(&job)).flatten();
        if let Some(live) = &ended
            && live.promise.is_some()
            && live.attempts > 0
            && !live.log.borrow().is_complete
        {
            let number = live.attempts;
            let log = live.log.clone();
            state.ending_logs.insert(AttemptId { job, number }, log);
        }
        drop(state);
        // It may hold the last reference to its worker's job.
        drop(ended);
    }

    fn enqueue(&self, job: JobId, client: ClientId, urgent: bool) {
        if let Some(this) = self.this.upgrade() {
            tokio::task::spawn_local(this.queue(job, client, urgent));
        }
    }

    /// Reads the description of a job, and puts the job into its pool's queue, unless it is cancelled meanwhile.
    async fn queue(self: Rc<Self>, job: JobId, client: ClientId, urgent: bool) {
        while self.is_queued(job) {
            match self.description(job).await {
                Ok(Some(Ok(description))) => {
                    self.submit_to_pool(job, client, description, urgent);
                    return;
                }
                Ok(Some(Err(reason))) => {
                    tracing::warn!(target: "scheduler", "Cannot run job {job}: {reason}");
                    self.apply(|jobs, now| jobs.refuse(now, job, &reason));
                }
                // The scheduler ends.
                Ok(None) => return,
                // The job was accepted, and stays so: the store may be readable again.
                Err(error) => {
                    tracing::warn!(target: "scheduler", "Cannot read job {job}: {error}; retrying");
                    tokio::time::sleep(REREAD_AFTER).await;
                }
            }
        }
    }

    fn is_queued(&self, job: JobId) -> bool {
        let state = self.state.borrow();
        matches!(state.jobs.stage(job), Some(Stage::Queued { .. }))
    }

    /// Returns the description of a job, or why it can never be used; `None` while the scheduler ends.
    async fn description(
        &self,
        job: JobId,
    ) -> Result<Option<Result<EncodedDescription, String>>, StoreError> {
        let read = self
            .store
            .run(move |kept| kept.reader.description(job))
            .await;
        let Some(sealed) = read.transpose()? else {
            return Ok(None);
        };
        Ok(Some(self.unseal(job, sealed)))
    }

    fn unseal(&self, job: JobId, sealed: Option<Sealed>) -> Result<EncodedDescription, String> {
        let sealed = sealed.ok_or("its description is not kept any more")?;
        let opened = self.sealer.open(job, &sealed);
        let opened = opened.map_err(|error| error.to_string())?;
        EncodedDescription::from_bytes(&opened).map_err(|error| error.reason)
    }

    fn submit_to_pool(
        &self,
        id: JobId,
        client: ClientId,
        description: EncodedDescription,
        urgent: bool,
    ) {
        // It may have been cancelled while its description was read.
        if !self.is_queued(id) {
            return;
        }
        if !self.clients.borrow().may_submit(&client) {
            // The client was removed while the job ran, or was not in the queue yet. Its jobs in the queue are
            // cancelled too.
            let _: Result<(), CancelError> =
                self.apply(|jobs, now| jobs.cancel(now, id, CancelledBy::Operator, NOBODY));
            return;
        }
        let pool = self
            .state
            .borrow()
            .live
            .get(&id)
            .map(|live| Rc::clone(&live.pool));
        let (Some(pool), Some(this)) = (pool, self.this.upgrade()) else {
            return;
        };
        let reserved = self
            .state
            .borrow_mut()
            .live
            .get_mut(&id)
            .and_then(|live| live.reservation.take());
        let (resolver, promise) = Job::promise();
        let run = Run::new(id);
        let assigned = (Rc::downgrade(&this), Rc::clone(&run));
        let request = Request {
            _reservation: reserved
                .unwrap_or_else(|| self.quota.reserve(&client, description.size())),
            client,
            description,
            job: resolver,
            hold: Some(Box::new(move |worker, answer| {
                let (this, run) = assigned;
                match this.upgrade() {
                    Some(this) => this.assigned(&run, worker, answer),
                    // The scheduler ends.
                    None => drop(answer),
                }
            })),
        };
        let promise = Rc::new(promise);
        if let Some(live) = self.state.borrow_mut().live.get_mut(&id) {
            live.promise = Some(Rc::clone(&promise));
        }
        let ticket = pool.submit(request, urgent);
        pool.ticket_handed_out(ticket, Rc::downgrade(&promise));
        if let Some(live) = self.state.borrow_mut().live.get_mut(&id) {
            live.ticket = Some(ticket);
        }
        tokio::task::spawn_local(this.follow(run, promise.job()));
    }

    /// The pool has found a worker, which is answered once that is on disk.
    fn assigned(&self, run: &Run, worker: pool::WorkerName, answer: HeldAssignment) {
        let now = self.clock.unix_now();
        let assigned = self
            .state
            .borrow_mut()
            .jobs
            .assign(now, run.job, &worker, false);
        let Some(attempt) = assigned else {
            // It was cancelled just now, and its ticket could not be withdrawn any more.
            answer();
            self.stop(AttemptId {
                job: run.job,
                number: 0,
            });
            return;
        };
        run.begin(attempt.number, worker);
        {
            let mut state = self.state.borrow_mut();
            state.held.insert(attempt, answer);
            if let Some(live) = state.live.get_mut(&attempt.job) {
                live.attempts = attempt.number;
                live.log.send_replace(LogState::default());
            }
        }
        self.perform();
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
        let answer = self.state.borrow_mut().held.remove(&attempt);
        if let Some(answer) = answer {
            answer();
        }
    }

    fn stop(&self, attempt: AttemptId) {
        let promise = self
            .state
            .borrow()
            .live
            .get(&attempt.job)
            .and_then(|live| live.promise.clone());
        if let Some(promise) = promise {
            let stopped = promise.job().cancel();
            // An error means that the worker is gone, and the attempt with it.
            tokio::task::spawn_local(async move { drop(stopped.await) });
        }
    }
}
