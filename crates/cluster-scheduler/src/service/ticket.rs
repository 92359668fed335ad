//! A client's request for a job.

use std::rc::Rc;

use cluster_api::{
    Explanation, Job, JobPromise, RpcError, ServeExplained, ServeTicket, Ticket, TicketEnd,
    TicketStatus,
};
use pool::TicketId;

use crate::explain::{QueuePosition, plain};
use crate::reactor::{Cancelled, Reactor, TicketState};

pub(crate) struct TicketService {
    reactor: Rc<Reactor>,
    ticket: TicketId,
    /// One of the references that keep the job going once it runs.
    job: Rc<JobPromise>,
}

impl TicketService {
    pub(crate) fn serve(reactor: Rc<Reactor>, ticket: TicketId, job: JobPromise) -> Ticket {
        let job = Rc::new(job);
        reactor.ticket_handed_out(ticket, Rc::downgrade(&job));
        Ticket::serve(Rc::new(Self {
            reactor,
            ticket,
            job,
        }))
    }
}

impl ServeExplained for TicketService {
    async fn explain(self: Rc<Self>) -> Result<Explanation, RpcError> {
        let explanation = self.reactor.explain(self.ticket);
        Ok(explanation.unwrap_or_else(|| plain("ended", "it has ended".to_owned())))
    }
}

impl ServeTicket for TicketService {
    async fn job(self: Rc<Self>) -> Result<Job, RpcError> {
        Ok(self.job.job())
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        match self.reactor.cancel(self.ticket, TicketEnd::Cancelled) {
            Cancelled::Queued => Ok(()),
            // If it was cancelled before, the promise is broken, and so is this call.
            Cancelled::NotQueued => self.job.job().cancel().await,
        }
    }

    async fn status(self: Rc<Self>) -> Result<TicketStatus, RpcError> {
        Ok(match self.reactor.ticket_state(self.ticket) {
            TicketState::Queued { position, obstacle } => {
                let QueuePosition { worker, ahead } = position;
                match worker {
                    None => TicketStatus::Queued {
                        ahead,
                        obstacle: obstacle.map(|obstacle| obstacle.to_string()),
                    },
                    Some(worker) => TicketStatus::Assigned {
                        worker: worker.to_string(),
                        ahead,
                    },
                }
            }
            TicketState::Running(worker) => TicketStatus::Running {
                worker: worker.to_string(),
            },
            TicketState::Ended => TicketStatus::Finished,
        })
    }

    fn number(&self) -> u64 {
        self.ticket.get()
    }

    fn released(&self) {
        self.reactor.ticket_released(self.ticket);
    }
}
