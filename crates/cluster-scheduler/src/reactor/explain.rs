//! Why jobs wait, and why workers run no more of them.

use cluster_api::{Explanation, PoolExplanations};
use jobs::JobId;
use pool::{TicketId, WorkerName};
use tokio::task::yield_now;

use super::{Reactor, State};
use crate::clock::Clock;
use crate::config::PoolName;
use crate::explain::{JobFacts, MAX_POSITIONS, Moment, WaitReport, plain};
use crate::overview::Sources;

/// How many jobs are explained before others get their turn: it takes about half a millisecond.
const AT_ONCE: usize = 100;

impl State {
    /// Returns why the jobs of the pool wait: as of now, or of up to a second ago.
    pub(super) fn wait_report(&mut self, name: &PoolName, clock: Clock) -> &WaitReport {
        let now = clock.now();
        if !self.wait_report.is_fresh(now) {
            let sources = Sources {
                roster: &self.workers,
                tickets: &self.tickets,
                pauses: &self.pauses,
                now,
                date: clock.date(),
            };
            self.wait_report = WaitReport::take(name.as_str(), &self.pool, &sources);
        }
        &self.wait_report
    }
}

impl Reactor {
    /// Returns why a job waits, or that it runs; `None` if it does neither.
    pub(crate) fn explain(&self, ticket: TicketId) -> Option<Explanation> {
        if let Some(explanation) = self.explain_queued(ticket) {
            return Some(explanation);
        }
        let state = self.state.borrow();
        let running = state.tickets.running(ticket)?;
        Some(plain("running", format!("running on {}", running.name)))
    }

    /// Returns why a job waits; `None` if it does not.
    pub(crate) fn explain_queued(&self, ticket: TicketId) -> Option<Explanation> {
        let job = {
            let state = self.state.borrow();
            if !state.tickets.is_queued(ticket) {
                return None;
            }
            state.tickets.durable_job(ticket)
        };
        let job = self.job_facts(job);
        self.renew_forecasts();
        let mut state = self.state.borrow_mut();
        let report = state.wait_report(&self.name, self.clock);
        let explanation = report.explain(&self.moment(), ticket, &job);
        Some(Explanation {
            forecast: state.forecasts.of(ticket, self.clock.now()),
            ..explanation
        })
    }

    /// Returns the id of a queued or running job; `None` if it is neither, or is not in the history.
    pub(crate) fn job_id(&self, ticket: TicketId) -> Option<JobId> {
        self.state.borrow().tickets.job_id(ticket)
    }

    /// Returns why a worker, connected or not, runs no more jobs; `None` if it is not known.
    pub(crate) fn explain_worker(&self, name: &WorkerName) -> Option<Explanation> {
        let mut state = self.state.borrow_mut();
        let report = state.wait_report(&self.name, self.clock);
        let worker = report.workers().iter().find(|worker| worker.name == *name);
        worker.map(|worker| worker.explain(report, &self.moment()))
    }

    /// Returns why the first `most` jobs of each queue wait, and why all workers run no more of them.
    ///
    /// That may be a thousand sentences: now and then others get their turn.
    pub(crate) async fn explanations(&self, most: u32) -> PoolExplanations {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let tickets: Vec<(TicketId, Option<JobId>)> = {
            let mut state = self.state.borrow_mut();
            let report = state.wait_report(&self.name, self.clock);
            let first: Vec<_> = report.first_tickets(most).take(MAX_POSITIONS).collect();
            let queued = first.into_iter().filter(|it| state.tickets.is_queued(*it));
            let queued = queued.map(|ticket| (ticket, state.tickets.durable_job(ticket)));
            queued.collect()
        };
        yield_now().await;
        self.renew_forecasts();
        let mut jobs = Vec::with_capacity(tickets.len());
        for some in tickets.chunks(AT_ONCE) {
            yield_now().await;
            jobs.extend(
                some.iter()
                    .map(|(ticket, job)| self.explain_first(*ticket, *job)),
            );
        }
        yield_now().await;
        let moment = self.moment();
        let mut state = self.state.borrow_mut();
        let report = state.wait_report(&self.name, self.clock);
        let workers = report.workers().iter().map(|worker| {
            let explanation = worker.explain(report, &moment);
            (worker.name.to_string(), explanation)
        });
        PoolExplanations {
            jobs,
            workers: workers.collect(),
        }
    }

    /// Returns the number of a ticket that was queued a moment ago, and why it waits.
    fn explain_first(&self, ticket: TicketId, job: Option<JobId>) -> (u64, Explanation) {
        let facts = self.job_facts(job);
        let moment = self.moment();
        let mut state = self.state.borrow_mut();
        // The same report as for the list, or one that is newer and has other positions.
        let report = state.wait_report(&self.name, self.clock);
        let explanation = report.explain(&moment, ticket, &facts);
        let forecast = state.forecasts.of(ticket, moment.now);
        (
            ticket.get(),
            Explanation {
                forecast,
                ..explanation
            },
        )
    }

    /// Has the facts gathered again for the next question, so that an operator sees what was just changed.
    pub(crate) fn renew_explanations(&self) {
        self.state.borrow_mut().wait_report = WaitReport::default();
    }

    fn moment(&self) -> Moment<'_> {
        Moment {
            pool: self.name.as_str(),
            now: self.clock.now(),
            assignments_stopped: self.assignments_stopped(),
        }
    }

    /// Returns what is known of a durable job, or of an attached one. The state must not be borrowed.
    fn job_facts(&self, job: Option<JobId>) -> JobFacts {
        let owner = self.durable_owner();
        let facts = job.zip(owner).map(|(job, owner)| owner.facts(job));
        facts.unwrap_or_default()
    }
}
