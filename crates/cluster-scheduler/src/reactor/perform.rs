//! Performs the effects that the pool asks for. The only caller of `poll_effect`.

use pool::{Decision, Effect, PopId, TicketId, Time, WorkerId, WorkerName};

use super::handover::{Assignment, ChosenWorker, PendingPop};
use super::{PendingSave, Reactor, State};
use crate::db::Change;
use crate::tickets::{Request, Work};

impl Reactor {
    /// Performs everything the pool has asked for.
    pub(super) fn perform(&self) -> PendingSave {
        let mut saving = PendingSave::default();
        while let Some(effect) = self.poll_effect() {
            match effect {
                Effect::Deliver {
                    pop,
                    worker,
                    name,
                    ticket,
                } => self.deliver(pop, worker, name, ticket),
                Effect::Probe { worker } => self.probe_now(worker),
                Effect::PopFailed { pop } => self.fail_pop(pop),
                Effect::SaveCached { hint, worker } => {
                    let row = self.cached(hint.as_str(), &worker);
                    self.db.save(Change::Cached(row), self.clock.date());
                }
                Effect::ForgetCached { hint, worker } => {
                    let row = self.cached(hint.as_str(), &worker);
                    self.db.save(Change::Uncached(row), self.clock.date());
                }
                Effect::SavePaused { worker, paused } => {
                    saving.0.push(self.save(self.paused(&worker, paused)));
                }
                Effect::SaveRate { client, rate } => {
                    saving.0.push(self.save(self.rate(&client, rate)));
                }
                Effect::ForgetWorker { worker } => {
                    saving.0.push(self.save(self.forgotten(&worker)));
                }
                Effect::RunningChanged { .. } => {
                    self.workers_changed.send_replace(());
                }
                Effect::Decided(decision) => self.decided(&decision),
            }
        }
        self.set_timer();
        saving
    }

    fn poll_effect(&self) -> Option<Effect> {
        self.state.borrow_mut().pool.poll_effect()
    }

    /// Answers a pop with a job, and [`Assignment`] does the rest. For a durable job, its owner does that.
    fn deliver(&self, pop: PopId, worker: WorkerId, name: WorkerName, ticket: TicketId) {
        let (pop, work, job_number) = {
            let mut state = self.state.borrow_mut();
            let keeps_jobs = state.pops.get(&pop).is_some_and(PendingPop::keeps_jobs);
            let work = state.start(self.clock.now(), ticket, worker, name.clone(), keeps_jobs);
            let job_number = state
                .tickets
                .running(ticket)
                .map_or(0, |running| running.job_number);
            (state.pops.remove(&pop), work, job_number)
        };
        if let Some(work) = &work {
            // By this number the job is found in the worker's log.
            tracing::info!(
                target: "scheduler",
                ticket = %self.full_name(ticket), client = %work.client(), worker = %name, nth = job_number,
                "Assigned job to \"{name}\""
            );
        }
        let (Some(reactor), Some(pop), Some(work)) = (self.this.upgrade(), pop, work) else {
            // The pool delivers no ticket twice, and to no cancelled pop. Whichever half is there is
            // dropped, which fails the call that waits for it.
            tracing::error!(
                target: "scheduler",
                ticket = %self.full_name(ticket),
                "Cannot hand the job over to its worker; this is a bug, please report it"
            );
            return;
        };
        match work {
            Work::Attached(request) => {
                let Request {
                    client: _,
                    description,
                    job,
                    _reservation: _,
                    attached,
                } = *request;
                if let Some(attached) = &attached {
                    // Workers that keep jobs have times, too.
                    attached.assigned(name.clone(), pop.keeps_jobs());
                }
                let work = (description, job);
                pop.answer(Assignment::new(reactor, ticket, name, work, attached));
            }
            Work::Durable(durable) => {
                let chosen = ChosenWorker::new(reactor, ticket, name, pop);
                if let Some(owner) = self.durable_owner() {
                    owner.worker_found(durable.job, chosen);
                }
            }
        }
    }

    fn fail_pop(&self, pop: PopId) {
        // Dropping it fails the call.
        let _pending = self.state.borrow_mut().pops.remove(&pop);
    }

    fn decided(&self, decision: &Decision) {
        match decision.ticket() {
            Some(ticket) => {
                tracing::info!(target: "scheduler", ticket = %self.full_name(ticket), "{decision}");
            }
            None => tracing::info!(target: "scheduler", "{decision}"),
        }
        if let Decision::Registered { .. } | Decision::Released { .. } = decision {
            self.workers_changed.send_replace(());
        }
    }

    fn set_timer(&self) {
        let deadline = self.state.borrow().pool.next_deadline();
        if self.deadline.replace(deadline) != deadline {
            self.wake.notify_one();
        }
    }
}

impl State {
    fn start(
        &mut self,
        now: Time,
        ticket: TicketId,
        worker: WorkerId,
        name: WorkerName,
        keeps_jobs: bool,
    ) -> Option<Work> {
        if let Some(held) = self.forecasts.started(ticket, now) {
            self.history.forecast_checked(held);
        }
        let job_number = self.workers.job_assigned(worker);
        self.tickets
            .start(now, ticket, worker, job_number, name, keeps_jobs)
    }
}
