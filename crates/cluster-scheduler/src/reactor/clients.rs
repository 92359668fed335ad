//! Calls of clients.

use std::rc::Rc;

use cluster_api::TicketEnd;
use pool::{CacheHint, ClientId, Place, Rate, TicketId, Time, WorkerName};

use super::{MAX_TICKETS_PER_TURN, PendingSave, Reactor, State};
use crate::explain::QueuePosition;
use crate::hints;
use crate::tickets::{DurableTicket, Request, Work};

/// The result of an attempt to cancel a ticket.
#[must_use]
pub(crate) enum Cancelled {
    /// It was queued, and its job promise is broken now.
    Queued,
    /// A worker has its job, or it has ended.
    NotQueued,
}

/// The state of a ticket.
pub(crate) enum TicketState {
    Queued {
        position: QueuePosition,
        /// Why no worker takes jobs, if none does. Only in the backlog: a ticket in a queue has a worker.
        obstacle: Option<Rc<str>>,
    },
    Running(WorkerName),
    Ended,
}

impl Reactor {
    /// A client submits a job.
    pub(crate) fn submit(&self, request: Request, urgent: bool) -> TicketId {
        let client = request.client.to_string();
        let ticket = self.change(|state, now| {
            let hint = hints::key(request.description.cache_hint());
            let ticket = state.pool.submit(now, &request.client, &hint, urgent);
            let work = Work::Attached(Box::new(request));
            state.tickets.insert(now, ticket, work);
            ticket
        });
        tracing::info!(
            target: "scheduler",
            ticket = %self.full_name(ticket), %client,
            "Received new job request from {client:?} (urgent={urgent})"
        );
        self.perform();
        ticket
    }

    /// Returns a cache hint as it is kept, sharing the text with others.
    pub(crate) fn hint(&self, text: &str) -> CacheHint {
        self.state.borrow().pool.hint(&hints::key(text))
    }

    /// A durable job is queued: as a new one, or in the place that it had. Returns its place, too.
    pub(crate) fn submit_durable(
        &self,
        durable: DurableTicket,
        hint: &CacheHint,
        urgent: bool,
        place: Option<Place>,
    ) -> (TicketId, Time) {
        let (job, client) = (durable.job, durable.client.to_string());
        let (ticket, fair_start) = self.change(|state, now| {
            let (pool, client, hint) = (&mut state.pool, &durable.client, hint.as_str());
            let ticket = match place {
                None => pool.submit(now, client, hint, urgent),
                Some(place) => pool.submit_again(now, client, hint, urgent, place),
            };
            let fair_start = pool.fair_start(ticket).unwrap_or(now);
            state.tickets.insert(now, ticket, Work::Durable(durable));
            (ticket, fair_start)
        });
        match place {
            None => tracing::info!(
                target: "scheduler",
                ticket = %self.full_name(ticket), %client, %job,
                "Received new job request from {client:?} (urgent={urgent})"
            ),
            Some(Place {
                was_assigned: true, ..
            }) => tracing::info!(
                target: "scheduler",
                ticket = %self.full_name(ticket), %client, %job,
                "Queued a job of {client:?} again (urgent={urgent})"
            ),
            // After a restart there may be a hundred thousand.
            Some(_) => {}
        }
        self.perform();
        (ticket, fair_start)
    }

    /// A ticket is cancelled. If it is still queued, its job ends this way.
    pub(crate) fn cancel(&self, ticket: TicketId, end: TicketEnd) -> Cancelled {
        let (cancel, _) = self.apply(|state, _| state.pool.cancel(ticket));
        match cancel {
            pool::Cancel::Cancelled => {
                self.end_queued(ticket, end);
                Cancelled::Queued
            }
            pool::Cancel::NotQueued => Cancelled::NotQueued,
        }
    }

    /// The last reference to a ticket was dropped. Safe to call from inside the RPC system.
    pub(crate) fn ticket_released(&self, ticket: TicketId) {
        // Most tickets are released when their jobs have ended, and need nothing more.
        if self.state.borrow().tickets.is_queued(ticket) {
            self.departed.borrow_mut().tickets.push_back(ticket);
            self.wake.notify_one();
        }
    }

    /// A client was removed: its queued jobs are cancelled, and those that run go on.
    ///
    /// Goes through its queued jobs in pieces, so the client must be unable to submit by now.
    pub(crate) async fn remove_client(&self, client: &ClientId) {
        let mut after = None;
        loop {
            let tickets = self
                .state
                .borrow()
                .pool
                .queued_of(client, after, MAX_TICKETS_PER_TURN);
            let Some(last) = tickets.last().copied() else {
                break;
            };
            for ticket in tickets {
                let (Cancelled::Queued | Cancelled::NotQueued) =
                    self.cancel(ticket, TicketEnd::ClientRemoved);
            }
            after = Some(last);
            tokio::task::yield_now().await;
        }
        let (left, _) = self.apply(|state, _| state.pool.remove_client(client));
        for ticket in left {
            self.end_queued(ticket, TicketEnd::ClientRemoved);
        }
    }

    /// The scheduler shuts down: no more jobs are assigned. Returns how many queued ones are lost with it.
    ///
    /// Their promises are not broken. An error on an open connection would end the jobs, while clients that retry
    /// submit them again after a closed connection. The workers' calls for jobs also wait until then, because a worker
    /// whose call fails stops its running jobs.
    pub(crate) fn stop_assigning(&self) -> usize {
        self.assignments_stopped.set(true);
        let (queued, _) = self.apply(
            |State {
                 pool,
                 pops,
                 tickets,
                 ..
             },
             _| {
                for pop in pops.keys() {
                    pool.cancel_pop(*pop);
                }
                tickets.count_queued()
            },
        );
        queued
    }

    /// Returns whether no more jobs are assigned.
    pub(crate) fn assignments_stopped(&self) -> bool {
        self.assignments_stopped.get()
    }

    pub(crate) fn set_rate(&self, client: &ClientId, rate: Rate) -> PendingSave {
        self.apply(|state, _| state.pool.set_rate(client, rate)).1
    }

    pub(crate) fn ticket_state(&self, ticket: TicketId) -> TicketState {
        let mut state = self.state.borrow_mut();
        if state.tickets.is_queued(ticket) {
            let report = state.wait_report(&self.name, self.clock);
            let position = report.position(ticket);
            let obstacle = report.obstacle().map(|obstacle| Rc::clone(&obstacle.text));
            let obstacle = obstacle.filter(|_| position.worker.is_none());
            TicketState::Queued { position, obstacle }
        } else {
            let running = state.tickets.running(ticket);
            running.map_or(TicketState::Ended, |running| {
                TicketState::Running(running.name.clone())
            })
        }
    }

    /// A ticket has left the queue, and not for a worker.
    fn end_queued(&self, ticket: TicketId, end: TicketEnd) {
        let work = {
            let mut state = self.state.borrow_mut();
            state.forecasts.forget(ticket);
            state.tickets.cancel(ticket)
        };
        match work {
            Some(Work::Attached(request)) => {
                request.job.fail(end.into_error());
                if let Some(attached) = request.attached {
                    attached.left_queue(end);
                }
            }
            Some(Work::Durable(durable)) => {
                if let Some(owner) = self.durable_owner() {
                    owner.left_queue(durable.job, end);
                }
            }
            None => {}
        }
    }
}
