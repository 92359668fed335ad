//! The other half of each ticket. The pool has its place in the order; here are the description of the job, and the
//! promise of the job that its client holds. Of a durable job there is neither: both are made when a worker was found.

use std::collections::{BTreeMap, HashMap};
use std::rc::{Rc, Weak};

use cluster_api::{EncodedDescription, Job, JobPromise, JobResolver};
use jobs::JobId;
use pool::{ClientId, TicketId, Time, WorkerId, WorkerName};

use crate::attached::AttachedJob;
use crate::queue_quota::QueueReservation;

/// A job as it was submitted by a client that is attached to it.
pub(crate) struct Request {
    pub(crate) client: ClientId,
    pub(crate) description: EncodedDescription,
    /// Resolves the promise that its client holds.
    pub(crate) job: JobResolver,
    /// Its part of the client's quota, until a worker has it.
    pub(crate) _reservation: QueueReservation,
    /// Follows the job for the history.
    pub(crate) attached: Option<Rc<AttachedJob>>,
}

/// A durable job in the queue. There may be a hundred thousand: keep it small.
pub(crate) struct DurableTicket {
    pub(crate) job: JobId,
    pub(crate) client: ClientId,
}

/// What a ticket is for.
pub(crate) enum Work {
    /// A job that a client is attached to.
    Attached(Box<Request>),
    /// One that is on disk, its description included.
    Durable(DurableTicket),
}

impl Work {
    pub(crate) fn client(&self) -> &ClientId {
        match self {
            Self::Attached(request) => &request.client,
            Self::Durable(ticket) => &ticket.client,
        }
    }
}

/// All tickets whose jobs have not ended.
#[derive(Default)]
pub(crate) struct Tickets {
    /// Those that no worker has taken, the oldest first. There may be a million.
    queued: BTreeMap<TicketId, Queued>,
    /// Who has taken the others.
    running: HashMap<TicketId, Running>,
    /// The jobs of the tickets that clients hold, for as long as they do.
    held: HashMap<TicketId, Weak<JobPromise>>,
}

struct Queued {
    since: Time,
    work: Work,
}

/// A ticket whose job a worker has taken.
pub(crate) struct Running {
    pub(crate) since: Time,
    /// How long it was queued, in seconds.
    pub(crate) waited: f64,
    /// Who has taken it, in which registration, and under which name.
    pub(crate) worker: WorkerId,
    /// Which job of this registration it is, counted from 1.
    pub(crate) job_number: u64,
    pub(crate) name: WorkerName,
    /// Whether the job goes on when the connection of its worker is lost.
    pub(crate) outlives_connection: bool,
    /// The durable job that it is an attempt of; `None` for an attached job.
    durable: Option<JobId>,
    /// Follows the job for the history; `None` for an attempt of a durable job.
    pub(crate) attached: Option<Rc<AttachedJob>>,
}

impl Tickets {
    pub(crate) fn insert(&mut self, now: Time, ticket: TicketId, work: Work) {
        let since = now;
        self.queued.insert(ticket, Queued { since, work });
    }

    /// A client was given its ticket.
    ///
    /// What is kept is weak: a ticket, and the job that it holds, live for as long as their client wants.
    pub(crate) fn hand_out(&mut self, ticket: TicketId, job: Weak<JobPromise>) {
        if self.queued.contains_key(&ticket) || self.running.contains_key(&ticket) {
            self.held.insert(ticket, job);
        }
    }

    /// Returns the job of a ticket, if its client still holds that.
    pub(crate) fn held(&self, ticket: TicketId) -> Option<Job> {
        Some(self.held.get(&ticket)?.upgrade()?.job())
    }

    /// Takes out a ticket that is not wanted any more, if it is still queued.
    pub(crate) fn cancel(&mut self, ticket: TicketId) -> Option<Work> {
        self.held.remove(&ticket);
        Some(self.queued.remove(&ticket)?.work)
    }

    /// Gives a queued ticket to a worker. Returns what is to be done.
    pub(crate) fn start(
        &mut self,
        now: Time,
        ticket: TicketId,
        worker: WorkerId,
        job_number: u64,
        name: WorkerName,
        keeps_jobs: bool,
    ) -> Option<Work> {
        let Queued { since, work } = self.queued.remove(&ticket)?;
        let (durable, attached) = match &work {
            Work::Attached(request) => (None, request.attached.clone()),
            Work::Durable(durable) => (Some(durable.job), None),
        };
        let running = Running {
            since: now,
            waited: now.secs_after(since),
            worker,
            job_number,
            name,
            outlives_connection: keeps_jobs && durable.is_some(),
            durable,
            attached,
        };
        self.running.insert(ticket, running);
        Some(work)
    }

    /// A worker has returned with a job that it took in an earlier registration.
    pub(crate) fn adopt(
        &mut self,
        now: Time,
        ticket: TicketId,
        job: JobId,
        worker: WorkerId,
        name: WorkerName,
    ) {
        let running = Running {
            since: now,
            waited: 0.0,
            worker,
            // It has none in this registration.
            job_number: 0,
            name,
            outlives_connection: true,
            durable: Some(job),
            attached: None,
        };
        self.running.insert(ticket, running);
    }

    /// Takes out a ticket whose job has ended, and returns who had taken it.
    pub(crate) fn finish(&mut self, ticket: TicketId) -> Option<Running> {
        self.held.remove(&ticket);
        self.running.remove(&ticket)
    }

    /// Returns since when the oldest queued ticket has waited.
    pub(crate) fn oldest(&self) -> Option<Time> {
        // They are numbered as they come.
        let (_, queued) = self.queued.first_key_value()?;
        Some(queued.since)
    }

    /// Returns since when a ticket has waited, if it is queued.
    pub(crate) fn queued_since(&self, ticket: TicketId) -> Option<Time> {
        Some(self.queued.get(&ticket)?.since)
    }

    pub(crate) fn is_queued(&self, ticket: TicketId) -> bool {
        self.queued.contains_key(&ticket)
    }

    /// Returns how many jobs no worker has taken that are lost with this scheduler.
    pub(crate) fn count_queued(&self) -> usize {
        let queued = self.queued.values();
        queued
            .filter(|queued| matches!(queued.work, Work::Attached(_)))
            .count()
    }

    /// Returns how many jobs workers have that have not ended: those that are lost with this scheduler, or the others.
    pub(crate) fn count_running(&self, outlives_connection: bool) -> usize {
        let running = self.running.values();
        running
            .filter(|running| running.outlives_connection == outlives_connection)
            .count()
    }

    /// Returns the durable job that a ticket is for; `None` for an attached one, and when the ticket has ended.
    pub(crate) fn durable_job(&self, ticket: TicketId) -> Option<JobId> {
        match self.queued.get(&ticket).map(|queued| &queued.work) {
            Some(Work::Durable(durable)) => Some(durable.job),
            Some(Work::Attached(_)) => None,
            None => self.running.get(&ticket)?.durable,
        }
    }

    /// Returns the id of the job that a ticket is for; `None` if it is not recorded, and when the ticket has ended.
    pub(crate) fn job_id(&self, ticket: TicketId) -> Option<JobId> {
        match self.queued.get(&ticket).map(|queued| &queued.work) {
            Some(Work::Durable(durable)) => Some(durable.job),
            Some(Work::Attached(request)) => Some(request.attached.as_ref()?.id()),
            None => {
                let running = self.running.get(&ticket)?;
                let attached = running.attached.as_ref().map(|attached| attached.id());
                running.durable.or(attached)
            }
        }
    }

    /// Returns the worker of a running job; `None` if it is not running.
    pub(crate) fn running(&self, ticket: TicketId) -> Option<&Running> {
        self.running.get(&ticket)
    }
}
