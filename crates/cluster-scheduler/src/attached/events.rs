//! What becomes of an attached job, as those report it that have it.

use std::rc::Rc;

use cluster_api::{
    CancelledBy as WireCancelledBy, Job, Outcome as WireOutcome, RpcError, TicketEnd,
};
use jobs::{Attempt, AttemptEnd, CancelledBy, Loss, LossReason, Outcome, Stage};
use pool::{TicketId, WorkerName};
use visible::beginning;

use super::AttachedJob;
use super::job::Reference;
use crate::durable::convert;

/// The most that is kept of an output or of a reason, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

impl AttachedJob {
    /// The pool has given it a ticket.
    pub(crate) fn queued(&self, ticket: TicketId) {
        // It has one ticket.
        let _: Result<(), TicketId> = self.ticket.set(ticket);
    }

    /// Its ticket was taken out of the queue.
    pub(crate) fn left_queue(&self, end: TicketEnd) {
        self.end(Outcome::Cancelled(match end {
            TicketEnd::Cancelled => CancelledBy::Client,
            TicketEnd::Released => CancelledBy::Departure,
            TicketEnd::CancelledByOperator | TicketEnd::ClientRemoved => CancelledBy::Operator,
        }));
    }

    /// A worker was chosen, which may be one that tells when the parts of a job began and ended.
    pub(crate) fn assigned(&self, worker: WorkerName, has_times: bool) {
        self.has_times.set(has_times);
        let Some(jobs) = self.jobs.upgrade() else {
            return;
        };
        let now = jobs.clock.unix_now();
        // It is assigned once.
        drop(self.attempt.set((worker.clone(), now)));
        self.change(Stage::Running(Attempt {
            number: 1,
            worker,
            survives: false,
            started: now,
        }));
    }

    /// Its worker has handed over the job. Returns the job for the client, which alone keeps it going.
    pub(crate) fn handed_over(self: &Rc<Self>, job: Job) -> Job {
        let (job, weak) = job.with_weak();
        self.reference.replace(Reference::Weak(weak));
        if let Some(jobs) = self.jobs.upgrade() {
            jobs.keep_log(self);
        }
        job
    }

    /// An operator asks the worker to stop it, which the worker may report in no way.
    pub(crate) fn operator_stops(&self) {
        self.operator_stops.set(self.operator_stops.get() + 1);
    }

    /// The worker could not be asked: a later end has another cause.
    pub(crate) fn operator_failed(&self) {
        let others = self.operator_stops.get().saturating_sub(1);
        self.operator_stops.set(others);
    }

    /// It has ended on its worker, or was lost with that.
    pub(crate) fn ended(&self, result: &Result<String, RpcError>) {
        let outcome = match result {
            Ok(output) => WireOutcome::Succeeded(cut(output)),
            Err(error) => WireOutcome::of_error(&RpcError {
                reason: cut(&error.reason),
                ..error.clone()
            }),
        };
        let cancelled_by = match &outcome {
            WireOutcome::Cancelled(by) => *by,
            _ => WireCancelledBy::Unknown,
        };
        self.end(match convert::attempt_end(outcome) {
            AttemptEnd::Done(verdict) => Outcome::Done(verdict),
            AttemptEnd::Stopped => Outcome::Cancelled(self.cancelled_by(cancelled_by)),
            AttemptEnd::Lost(reason) => self.lost(reason),
        });
    }

    /// Its worker left before it could hand over the job.
    pub(crate) fn lost_with_worker(&self) {
        self.end(self.lost(LossReason::WorkerGone));
    }

    fn lost(&self, reason: LossReason) -> Outcome {
        let now = self.jobs.upgrade().map(|jobs| jobs.clock.unix_now());
        let loss = self.attempt.get().map(|(worker, started)| Loss {
            attempt: 1,
            worker: worker.clone(),
            reason,
            at: now.unwrap_or(*started),
        });
        Outcome::Lost(loss.into_iter().collect())
    }

    /// Returns who cancelled it, as far as that can be known: most workers do not report it.
    fn cancelled_by(&self, reported: WireCancelledBy) -> CancelledBy {
        match reported {
            WireCancelledBy::Operator => CancelledBy::Operator,
            _ if self.operator_stops.get() > 0 => CancelledBy::Operator,
            // The worker stopped it because nobody holds it any more.
            _ if self.job().is_none() => CancelledBy::Departure,
            WireCancelledBy::Client | WireCancelledBy::Unknown => CancelledBy::Client,
        }
    }

    fn end(&self, outcome: Outcome) {
        // Of two ends, the first counts.
        let jobs = self.jobs.upgrade().filter(|_| !self.has_ended());
        let Some(jobs) = jobs else {
            return;
        };
        let at = jobs.clock.unix_now();
        self.change(Stage::Ended { outcome, at });
        jobs.hold_log(self);
        jobs.forget_if_stored(self);
    }

    fn change(&self, stage: Stage) {
        self.stage.replace(stage);
        self.version.set(self.version.get() + 1);
        self.changed.notify_waiters();
        if let Some(jobs) = self.jobs.upgrade() {
            jobs.unsaved_changed(self.id);
        }
    }
}

/// Returns as much of a text as is kept.
fn cut(text: &str) -> String {
    beginning(text, MAX_TEXT_BYTES).to_owned()
}
