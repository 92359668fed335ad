//! A worker, as explanations have it.

use std::fmt;
use std::time::Duration;

use pool::{WorkerFacts, WorkerName};
use visible::CompactElapsed;

use super::cause::{Cause, OperatorPause};
use crate::details::between;
use crate::overview::Sources;

/// A worker that is known to a pool.
#[derive(Clone, Debug)]
pub(crate) struct WorkerState {
    pub(crate) name: WorkerName,
    pub(crate) presence: WorkerPresence,
    /// The pause by an operator that lasts until it is ended.
    pub(super) lasting: Option<OperatorPause>,
}

/// Whether a worker is connected.
#[derive(Clone, Debug)]
pub(crate) enum WorkerPresence {
    /// It has not been connected since the scheduler started.
    NeverSeen,
    /// It disconnected this long ago.
    Left(Duration),
    /// It is registered now.
    Connected(Connected),
}

/// A worker that is registered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connected {
    /// Why it takes no jobs; none if it does.
    pub(super) causes: Vec<Cause>,
    pub(super) capacity: u32,
    pub(super) running: usize,
    /// For how many more jobs it asks.
    pub(super) asks_for: usize,
    /// Whether it is asked whether it answers.
    pub(super) is_probed: bool,
    pub(super) queued: usize,
}

impl WorkerState {
    /// Puts together what is known of a worker.
    pub(super) fn new(facts: &WorkerFacts, sources: &Sources<'_>) -> Self {
        let name = facts.name.clone();
        let lasting = facts
            .paused
            .then(|| sources.pauses.lasting(&name, sources.date));
        let registered = facts.registration.and_then(|id| sources.roster.get(id));
        let Some((id, registered)) = facts.registration.zip(registered) else {
            let history = sources.roster.history(&name);
            let left = history.and_then(|history| history.left);
            return Self {
                presence: left.map_or(WorkerPresence::NeverSeen, |left| {
                    WorkerPresence::Left(between(left, sources.now))
                }),
                lasting,
                name,
            };
        };
        let causes = facts.reasons.iter().map(|reason| match reason {
            pool::InactiveReason::WorkerPause => Cause::Itself(registered.pause_reasons.clone()),
            pool::InactiveReason::AdminPause => {
                Cause::Operator(sources.pauses.lasting(&name, sources.date))
            }
            pool::InactiveReason::TemporaryPause => {
                Cause::UntilReconnect(sources.pauses.temporary(id, sources.date))
            }
            pool::InactiveReason::ShuttingDown => Cause::Updating,
            pool::InactiveReason::NotAnswering => {
                let since = registered.liveness.silent_since;
                Cause::Unresponsive(
                    since.map_or(Duration::ZERO, |since| between(since, sources.now)),
                )
            }
        });
        let connected = Connected {
            causes: causes.collect(),
            capacity: facts.capacity,
            running: facts.running,
            asks_for: facts.asks_for,
            is_probed: facts.is_probed,
            queued: facts.queued,
        };
        Self {
            presence: WorkerPresence::Connected(connected),
            lasting,
            name,
        }
    }

    /// Returns it if it is connected.
    pub(super) fn connected(&self) -> Option<&Connected> {
        match &self.presence {
            WorkerPresence::Connected(connected) => Some(connected),
            WorkerPresence::NeverSeen | WorkerPresence::Left(_) => None,
        }
    }
}

impl Connected {
    /// Returns whether it takes jobs.
    pub(super) fn is_active(&self) -> bool {
        self.causes.is_empty()
    }
}

/// When a worker was last connected.
pub(super) struct LastSeen<'a>(pub(super) &'a WorkerPresence);

impl fmt::Display for LastSeen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            WorkerPresence::NeverSeen => f.write_str("not seen since the scheduler started"),
            WorkerPresence::Left(ago) => write!(f, "last seen {} ago", CompactElapsed(*ago)),
            WorkerPresence::Connected(_) => f.write_str("connected"),
        }
    }
}
