//! Why jobs wait, and why workers run no more of them.

use cluster_api::{Explanation, PoolExplanations};
use jobs::JobId;
use pool::{TicketId, WorkerName};

use super::{Reactor, State};
use crate::clock::Clock;
use crate::config::PoolName;
use crate::explain::{JobFacts, MAX_POSITIONS, Moment, WaitReport, plain};
use crate::overview::Sources;

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
    pub(crate) fn explanations(&self, most: u32) -> PoolExplanations {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let tickets: Vec<(TicketId, Option<JobId>)> = {
            let mut state = self.state.borrow_mut();
            let report = state.wait_report(&self.name, self.clock);
            let first: Vec<_> = report.first_tickets(most).take(MAX_POSITIONS).collect();
            let queued = first.into_iter().filter(|it| state.tickets.is_queued(*it));
            let queued = queued.map(|ticket| (ticket, state.tickets.durable_job(ticket)));
            queued.collect()
        };
        let facts = tickets.into_iter();
        let facts: Vec<_> = facts
            .map(|(ticket, job)| (ticket, self.job_facts(job)))
            .collect();
        self.renew_forecasts();
        let moment = self.moment();
        // The same report as above, or one that is newer and has other positions.
        let state = self.state.borrow();
        let report = &state.wait_report;
        let jobs = facts.iter().map(|(ticket, job)| {
            let explanation = Explanation {
                forecast: state.forecasts.of(*ticket, moment.now),
                ..report.explain(&moment, *ticket, job)
            };
            (ticket.get(), explanation)
        });
        let workers = report.workers().iter().map(|worker| {
            let explanation = worker.explain(report, &moment);
            (worker.name.to_string(), explanation)
        });
        PoolExplanations {
            jobs: jobs.collect(),
            workers: workers.collect(),
        }
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
