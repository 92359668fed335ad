//! Attached jobs, as the history knows them.

use std::sync::Arc;

use jobs::{AttemptEnd, JobId, LossReason, Outcome};
use pool::{CacheHint, ClientId, Time, WorkerName};

use crate::words::state_of;
use crate::{AttemptRecord, Record, State};

/// An attached job at one moment: one that ends with the connection of its client or its worker, or with the
/// scheduler. A later record of the same job replaces an earlier one.
///
/// Its description is not kept, and nothing of it is restored after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedRecord {
    /// Its id: random, and not yet in use.
    pub id: JobId,
    /// Who submitted it.
    pub client: ClientId,
    /// The name of its pool.
    pub pool: Arc<str>,
    /// Its cache hint.
    pub hint: CacheHint,
    /// Its kind, such as "docker".
    pub kind: Arc<str>,
    /// Whether it goes before all jobs that are not urgent.
    pub urgent: bool,
    /// When it was submitted.
    pub submitted: Time,
    /// The worker that took it, and when; `None` if none has. It has no second attempt.
    pub attempt: Option<(WorkerName, Time)>,
    /// How it ended, and when; `None` while it has not.
    pub end: Option<(Outcome, Time)>,
}

impl AttachedRecord {
    /// Returns its state, and since when it has that.
    pub(crate) fn state(&self) -> (State, Time) {
        match (&self.end, &self.attempt) {
            (Some((outcome, at)), _) => (state_of(outcome), *at),
            (None, Some((_, started))) => (State::Running, *started),
            (None, None) => (State::Queued, self.submitted),
        }
    }
}

impl From<AttachedRecord> for Record {
    /// Returns the job as it is read after it was saved, so that it can be shown before.
    fn from(saved: AttachedRecord) -> Self {
        let (state, _) = saved.state();
        let AttachedRecord {
            id,
            client,
            pool,
            hint,
            kind,
            urgent,
            submitted,
            attempt,
            end,
        } = saved;
        let ended = end.as_ref().map(|(outcome, at)| (end_of(outcome), *at));
        let attempt = attempt.map(|(worker, started)| AttemptRecord {
            number: 1,
            worker: worker.to_string(),
            started,
            end: ended,
        });
        Self {
            id,
            client: client.to_string(),
            pool: pool.to_string(),
            hint: hint.as_str().to_owned(),
            urgent,
            key: None,
            kind: kind.to_string(),
            attached: true,
            labels: Vec::new(),
            submitted,
            state,
            end,
            attempts: attempt.into_iter().collect(),
        }
    }
}

/// Returns how the only attempt of a job ended whose outcome this is.
pub(crate) fn end_of(outcome: &Outcome) -> AttemptEnd {
    match outcome {
        Outcome::Done(verdict) => AttemptEnd::Done(verdict.clone()),
        Outcome::Cancelled(_) | Outcome::TimedOut(_) => AttemptEnd::Stopped,
        Outcome::Lost(losses) => {
            let reason = losses.last().map(|loss| loss.reason.clone());
            AttemptEnd::Lost(reason.unwrap_or(LossReason::WorkerGone))
        }
    }
}
