//! Ends of jobs, and what is learned from them.

use alloc::vec::Vec;
use core::time::Duration;

use crate::ids::Slot;
use crate::share::Rule;
use crate::ticket::{Location, Ticket};
use crate::{CacheHint, ClientId, Disconnected, Effect, Pool, TicketId, Time, WorkerId};

/// How a job ended, as far as its time tells something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It ran to its end, well or not: jobs like it are expected to take as long.
    Completed,
    /// It was stopped before: its client is charged for the time that it took, and nothing is learned.
    Stopped,
    /// It was lost with its worker, or is not followed any more: its time counts for nothing.
    Lost,
}

/// A job that has ended, from a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastJob {
    /// Who submitted it.
    pub client: ClientId,
    /// Its hint.
    pub hint: CacheHint,
    /// Whether its worker had the hint cached before.
    pub is_warm: bool,
    /// How long it ran.
    pub took: Duration,
}

impl Pool {
    /// A job has ended. Nothing happens if it is not running.
    ///
    /// Its client was charged for what it was expected to take. This is corrected now by what it took: the tickets that
    /// are queued keep their turns, and the next ones start earlier or later.
    pub fn job_ended(&mut self, ticket: TicketId, now: Time, end: JobEnd) {
        self.now = self.now.max(now);
        let Some((ticket, _)) = self.take_running(ticket) else {
            return;
        };
        let Location::Running {
            since: Some(since), ..
        } = ticket.location
        else {
            return;
        };
        let took = self.now.since(since);
        if end == JobEnd::Completed {
            self.learn(&ticket.client, &ticket.hint, ticket.is_warm, took);
        }
        if let (Some(charge), JobEnd::Completed | JobEnd::Stopped, Rule::Learned) =
            (ticket.charge, end, self.rule())
        {
            self.clients.correct(&ticket.client, charge, took);
        }
    }

    /// A job has ended, and nobody knows how long it took. Nothing happens if it is not running.
    pub fn job_finished(&mut self, ticket: TicketId) {
        self.take_running(ticket);
    }

    /// Learns from a job that ended before this pool was made.
    pub fn teach(&mut self, job: &PastJob) {
        self.learn(&job.client, &job.hint, job.is_warm, job.took);
    }

    /// A worker has dropped what it had cached: for these hints, or all of it.
    ///
    /// Tickets that are in its queue stay there, and those that come are not sent to it for that any more.
    ///
    /// # Errors
    ///
    /// [`Disconnected`] if the registration has ended.
    pub fn pruned(
        &mut self,
        worker: WorkerId,
        hints: Option<&[CacheHint]>,
    ) -> Result<(), Disconnected> {
        let slot = self.workers.resolve(worker).ok_or(Disconnected)?;
        let all: Vec<CacheHint>;
        let hints = match hints {
            Some(hints) => hints,
            None => {
                all = self.affinity.cached_by(slot).cloned().collect();
                &all
            }
        };
        let worker = self.workers.name(slot);
        for hint in hints {
            if !hint.is_none() && self.affinity.drop_cached(hint, slot) {
                self.effects.push_back(Effect::ForgetCached {
                    hint: hint.clone(),
                    worker: worker.clone(),
                });
            }
        }
        Ok(())
    }

    /// Returns by which rule clients are charged now.
    pub(crate) fn rule(&self) -> Rule {
        if self.times.are_known() {
            Rule::Learned
        } else {
            Rule::Guessed
        }
    }

    /// Returns how long a job is expected to take that a worker has taken.
    pub(crate) fn cost_of_running(&self, id: TicketId) -> Duration {
        self.tickets.get(&id).map_or(Duration::ZERO, |ticket| {
            self.costs(ticket).of(ticket.estimate())
        })
    }

    fn learn(&mut self, client: &ClientId, hint: &CacheHint, is_warm: bool, took: Duration) {
        let client = self.clients.times_mut(client);
        let learned = self.times.learn(hint, client, is_warm, took);
        self.affinity.learn(hint, learned.known);
        if let Some(forgotten) = learned.forgotten {
            self.affinity
                .learn(&forgotten, crate::window::Known::default());
        }
    }

    fn take_running(&mut self, id: TicketId) -> Option<(Ticket, Slot)> {
        let Location::Running { worker, .. } = self.tickets.get(&id)?.location else {
            return None;
        };
        let ticket = self.tickets.remove(&id)?;
        self.workers
            .update(worker, |worker| worker.running.remove(&id));
        self.running_changed(worker);
        Some((ticket, worker))
    }
}
