//! Tickets: queued requests for jobs.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::answer::{Answer, Pipelined};
use crate::dispatch;
use crate::handle::{Served, handle};
use crate::raw::extensions_capnp::{extended_ticket, ticket_number, ticket_status};
use crate::raw::schema_capnp::ticket;
use crate::text::{long_text, returned, text};
use crate::{Job, RpcError, ServeExplained};

/// The limit for the text about why a ticket waits, in bytes: a few lines, as clients request it every second.
const MAX_OBSTACLE_BYTES: usize = 64 << 10;

handle! {
    /// A reference to a queued request for a job. When the last one is dropped, the request is cancelled.
    Ticket, ticket
}

/// The status of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketStatus {
    /// In the pool's backlog: no worker has been chosen for it yet.
    Queued {
        /// The number of tickets before it in the backlog.
        ahead: u32,
        /// Why no worker takes jobs; `None` when some do, or the scheduler does not report it.
        obstacle: Option<String>,
    },
    /// In the local queue of a worker, which has not taken it yet.
    Assigned {
        /// The worker's name.
        worker: String,
        /// The number of tickets before it in that queue.
        ahead: u32,
    },
    /// Taken by a worker.
    Running {
        /// The worker's name.
        worker: String,
    },
    /// The job has ended, successfully or not.
    Finished,
}

impl Ticket {
    /// Serves `ticket`, together with our extensions, such as [`Ticket::status`] and [`Ticket::explain`].
    pub fn serve<S: ServeTicket>(ticket: Rc<S>) -> Self {
        let client: extended_ticket::Client =
            dispatch::new_client(Served::new(ticket, S::released));
        Self::from_raw(client.cast_to())
    }

    /// Returns the job, which may not have been taken by a worker yet.
    pub fn job(&self) -> Pipelined<Job> {
        let sent = self.client.job_request().send();
        let job = Job::from_raw(sent.pipeline.get_job());
        let answer = Answer::new(sent.promise, |results: ticket::job_results::Reader<'_>| {
            Ok(Job::from_raw(returned(results.get_job(), "job")?))
        });
        Pipelined::new(job, answer)
    }

    /// Removes the job from the queue, or cancels it if a worker has taken it.
    pub fn cancel(&self) -> Answer<()> {
        let request = self.client.cancel_request();
        Answer::new(
            request.send().promise,
            |_: ticket::cancel_results::Reader<'_>| Ok(()),
        )
    }

    /// Returns the status of the ticket.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn status(&self) -> Answer<TicketStatus> {
        let client: ticket_status::Client = self.client.clone().cast_to();
        let sent = client.status_request().send();
        Answer::new(sent.promise, |status: ticket_status::status::Reader<'_>| {
            TicketStatus::read(status)
        })
    }

    /// Returns the number by which operators know the ticket. It is unique in its pool, and in the scheduler's log.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn number(&self) -> Answer<u64> {
        let client: ticket_number::Client = self.client.clone().cast_to();
        let sent = client.number_request().send();
        Answer::new(
            sent.promise,
            |results: ticket_number::number_results::Reader<'_>| Ok(results.get_number()),
        )
    }
}

/// A ticket, as a scheduler implements it.
pub trait ServeTicket: ServeExplained {
    /// See [`Ticket::job`]. It should answer at once, with a [`Job::promise`] if necessary.
    ///
    /// # Errors
    /// The caller gets the error.
    fn job(self: Rc<Self>) -> impl Future<Output = Result<Job, RpcError>>;

    /// See [`Ticket::cancel`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn cancel(self: Rc<Self>) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`Ticket::status`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn status(self: Rc<Self>) -> impl Future<Output = Result<TicketStatus, RpcError>>;

    /// See [`Ticket::number`].
    fn number(&self) -> u64;

    /// The last reference was dropped: the client does not want the job any more, unless a worker has taken it.
    ///
    /// This is called from inside the RPC system: it may record the event and wake a task, but must not make calls.
    fn released(&self);
}

impl<S: ServeTicket> ticket::Server for Served<S> {
    fn job(
        self: Rc<Self>,
        _params: ticket::JobParams,
        mut results: ticket::JobResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let ticket = self.object();
        async move {
            let job = ticket.job().await?;
            results.get().set_job(job.into_raw());
            Ok(())
        }
    }

    fn cancel(
        self: Rc<Self>,
        _params: ticket::CancelParams,
        _results: ticket::CancelResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let ticket = self.object();
        async move { Ok(ticket.cancel().await?) }
    }
}

impl<S: ServeTicket> ticket_status::Server for Served<S> {
    fn status(
        self: Rc<Self>,
        _params: ticket_status::StatusParams,
        mut results: ticket_status::StatusResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let ticket = self.object();
        async move {
            ticket.status().await?.write(results.get());
            Ok(())
        }
    }
}

impl<S: ServeTicket> ticket_number::Server for Served<S> {
    fn number(
        self: Rc<Self>,
        _params: ticket_number::NumberParams,
        mut results: ticket_number::NumberResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        results.get().set_number(self.object().number());
        std::future::ready(Ok(()))
    }
}

impl<S: ServeTicket> extended_ticket::Server for Served<S> {}

impl TicketStatus {
    fn read(reader: ticket_status::status::Reader<'_>) -> Result<Self, RpcError> {
        match reader.which() {
            Ok(ticket_status::status::Queued(queued)) => Ok(Self::Queued {
                ahead: queued.get_ahead(),
                obstacle: Some(long_text(
                    queued.get_obstacle(),
                    "obstacle",
                    MAX_OBSTACLE_BYTES,
                )?)
                .filter(|obstacle| !obstacle.is_empty()),
            }),
            Ok(ticket_status::status::Assigned(assigned)) => Ok(Self::Assigned {
                worker: text(assigned.get_worker(), "worker")?,
                ahead: assigned.get_ahead(),
            }),
            Ok(ticket_status::status::Running(running)) => Ok(Self::Running {
                worker: text(running.get_worker(), "worker")?,
            }),
            Ok(ticket_status::status::Finished(())) => Ok(Self::Finished),
            Err(capnp::NotInSchema(tag)) => {
                Err(RpcError::failed(format!("Unknown ticket status {tag}")))
            }
        }
    }

    fn write(&self, mut builder: ticket_status::status::Builder<'_>) {
        match self {
            Self::Queued { ahead, obstacle } => {
                let mut queued = builder.init_queued();
                queued.set_ahead(*ahead);
                if let Some(obstacle) = obstacle {
                    queued.set_obstacle(obstacle);
                }
            }
            Self::Assigned { worker, ahead } => {
                let mut assigned = builder.init_assigned();
                assigned.set_worker(worker);
                assigned.set_ahead(*ahead);
            }
            Self::Running { worker } => builder.init_running().set_worker(worker),
            Self::Finished => builder.set_finished(()),
        }
    }
}
