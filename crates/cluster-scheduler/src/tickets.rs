//! The other half of each ticket. The pool has its place in the order; here are the description of the job, and the
//! promise of the job that its client holds.

use std::collections::{BTreeMap, HashMap};
use std::rc::{Rc, Weak};

use cluster_api::{EncodedDescription, Job, JobPromise, JobResolver};
use pool::{ClientId, TicketId, Time, WorkerId, WorkerName};

use crate::attached::AttachedJob;
use crate::queue_quota::QueueReservation;

/// A job as it was submitted.
pub(crate) struct Request {
    pub(crate) client: ClientId,
    pub(crate) description: EncodedDescription,
    /// Resolves the promise that its client holds.
    pub(crate) job: JobResolver,
    /// Its part of the client's quota, until a worker has it.
    pub(crate) _reservation: QueueReservation,
    /// What to do when a worker was found, instead of answering the worker at once.
    pub(crate) hold: Option<Hold>,
    /// Follows the job for the history; `None` for an attempt of a durable job.
    pub(crate) attached: Option<Rc<AttachedJob>>,
}

/// Takes the name of the worker that was found, and what answers it. If that is dropped, the worker's call fails.
pub(crate) type Hold = Box<dyn FnOnce(WorkerName, Box<dyn FnOnce()>)>;

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
    request: Request,
}

/// A ticket whose job a worker has taken.
pub(crate) struct Running {
    pub(crate) since: Time,
    /// Who has taken it, in which registration, and under which name.
    pub(crate) worker: WorkerId,
    /// Which job of this registration it is, counted from 1.
    pub(crate) job_number: u64,
    pub(crate) name: WorkerName,
    /// Follows the job for the history.
    pub(crate) attached: Option<Rc<AttachedJob>>,
}

impl Tickets {
    pub(crate) fn insert(&mut self, now: Time, ticket: TicketId, request: Request) {
        let since = now;
        self.queued.insert(ticket, Queued { since, request });
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
    pub(crate) fn cancel(&mut self, ticket: TicketId) -> Option<Request> {
        self.held.remove(&ticket);
        Some(self.queued.remove(&ticket)?.request)
    }

    /// Gives a queued ticket to a worker. Returns what is to be done, and since when it has been queued.
    pub(crate) fn start(
        &mut self,
        now: Time,
        ticket: TicketId,
        worker: WorkerId,
        job_number: u64,
        name: WorkerName,
    ) -> Option<(Request, Time)> {
        let Queued { since, request } = self.queued.remove(&ticket)?;
        let running = Running {
            since: now,
            worker,
            job_number,
            name,
            attached: request.attached.clone(),
        };
        self.running.insert(ticket, running);
        Some((request, since))
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

    /// Returns how many jobs no worker has taken.
    pub(crate) fn count_queued(&self) -> usize {
        self.queued.len()
    }

    /// Returns how many jobs workers have that have not ended.
    pub(crate) fn count_running(&self) -> usize {
        self.running.len()
    }

    /// Returns the worker of a running job; `None` if it is not running.
    pub(crate) fn running(&self, ticket: TicketId) -> Option<&Running> {
        self.running.get(&ticket)
    }
}
