//! Durable jobs in the queues of their pools. Nothing of a queued job's description is in memory once it is on disk: it
//! is read when a worker was found.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{EncodedDescription, Job, TicketEnd};
use job_store::{Reader as _, Sealed, StoreError};
use jobs::{CancelError, CancelledBy, JobId, Stage};
use pool::{CacheHint, ClientId, Place, Time};

use super::DurableJobs;
use super::follow::NOBODY;
use crate::explain::JobFacts;
use crate::reactor::{ChosenWorker, DurableOwner};
use crate::tickets::DurableTicket;

/// How long to wait before a description that could not be read is read again.
const REREAD_AFTER: Duration = Duration::from_secs(5);

impl DurableOwner for DurableJobs {
    fn worker_found(self: Rc<Self>, job: JobId, chosen: ChosenWorker) {
        tokio::task::spawn_local(self.hand_over(job, chosen));
    }

    fn left_queue(&self, job: JobId, end: TicketEnd) {
        match end {
            // That was done here.
            TicketEnd::Cancelled => {}
            TicketEnd::CancelledByOperator | TicketEnd::Released | TicketEnd::ClientRemoved => {
                self.cancel_by_operator(job);
            }
        }
    }

    fn facts(&self, job: JobId) -> JobFacts {
        self.facts_of(job)
    }
}

/// A job to put into its pool's queue.
pub(super) struct Enqueued {
    pub(super) job: JobId,
    pub(super) client: ClientId,
    pub(super) hint: CacheHint,
    pub(super) urgent: bool,
    /// The place that it had before.
    pub(super) fair_start: Option<Time>,
}

impl DurableJobs {
    pub(super) fn enqueue(&self, enqueued: Enqueued) {
        let Enqueued {
            job,
            client,
            hint,
            urgent,
            fair_start,
        } = enqueued;
        if !self.is_queued(job) {
            return;
        }
        if !self.clients.borrow().may_submit(&client) {
            // The client was removed while the job ran, or before it was in the queue.
            self.cancel_by_operator(job);
            return;
        }
        let (pool, was_assigned) = {
            let mut state = self.state.borrow_mut();
            let Some(live) = state.live.get_mut(&job) else {
                return;
            };
            live.reservation
                .get_or_insert_with(|| self.quota.reserve(&client, live.description_bytes));
            (Rc::clone(&live.pool), live.attempts > 0)
        };
        let place = fair_start.map(|fair_start| Place {
            fair_start: self.clock.since_start(fair_start),
            was_assigned,
        });
        let ticket = DurableTicket { job, client };
        let (ticket, fair_start) = pool.submit_durable(ticket, &hint, urgent, place);
        let mut state = self.state.borrow_mut();
        if let Some(live) = state.live.get_mut(&job) {
            live.ticket = Some(ticket);
        }
        // The caller performs what this asks for.
        state.jobs.placed(job, self.clock.since_1970(fair_start));
    }

    pub(super) fn is_queued(&self, job: JobId) -> bool {
        let state = self.state.borrow();
        matches!(state.jobs.stage(job), Some(Stage::Queued { .. }))
    }

    fn cancel_by_operator(&self, job: JobId) {
        // An error means that it has ended already.
        let _: Result<(), CancelError> =
            self.apply(|jobs, now| jobs.cancel(now, job, CancelledBy::Operator, NOBODY));
    }

    /// Reads the description of a job, and gives the job to the worker that was found. If the job is cancelled
    /// meanwhile, the worker waits for another one; if the worker leaves, the job for another worker.
    async fn hand_over(self: Rc<Self>, job: JobId, chosen: ChosenWorker) {
        if !self.is_queued(job) {
            return;
        }
        let read = match self.new_description(job) {
            Some(description) => Ok(Some(Ok(description))),
            None => self.description(job).await,
        };
        match read {
            // Nothing that was read is of use any more.
            _ if chosen.has_left() => {
                drop(chosen);
                self.apply(|jobs, _| jobs.queue_again(job));
            }
            Ok(Some(Ok(description))) => self.assign(job, chosen, description),
            Ok(Some(Err(reason))) => {
                tracing::warn!(target: "scheduler", "Cannot run job {job}: {reason}");
                self.apply(|jobs, now| jobs.refuse(now, job, &reason));
            }
            // The scheduler ends.
            Ok(None) => {}
            // The job was accepted, and stays so: the store may be readable again. The worker takes others meanwhile.
            Err(error) => {
                tracing::warn!(target: "scheduler", "Cannot read job {job}: {error}; retrying");
                drop(chosen);
                tokio::time::sleep(REREAD_AFTER).await;
                self.apply(|jobs, _| jobs.queue_again(job));
            }
        }
    }

    /// Returns the description of a job that is on its way to the disk.
    fn new_description(&self, job: JobId) -> Option<EncodedDescription> {
        let state = self.state.borrow();
        let description = state.live.get(&job)?.description.as_deref();
        description.cloned()
    }

    fn assign(self: &Rc<Self>, job: JobId, chosen: ChosenWorker, description: EncodedDescription) {
        // It may have been cancelled while its description was read.
        if !self.is_queued(job) {
            return;
        }
        if let Some(live) = self.state.borrow_mut().live.get_mut(&job) {
            live.reservation = None;
        }
        let (resolver, promise) = Job::promise();
        let (worker, keeps_jobs) = (chosen.name().clone(), chosen.keeps_jobs());
        let give = Box::new(move |attempt| chosen.give(description, resolver, attempt));
        self.assigned(job, promise.job(), worker, keeps_jobs, give);
    }

    /// Returns the description of a job, or why it can never be used; `None` while the scheduler ends.
    async fn description(
        &self,
        job: JobId,
    ) -> Result<Option<Result<EncodedDescription, String>>, StoreError> {
        let read = self
            .descriptions
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
}
