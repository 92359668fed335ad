//! A worker, as explanations have it, and why it runs no more jobs.

use std::fmt;
use std::time::Duration;

use cluster_api::Explanation;
use pool::{WorkerFacts, WorkerName};
use visible::{CompactElapsed, counted};

use super::cause::{Cause, Causes, OperatorPause, kind_of};
use super::limited;
use super::report::{Moment, WaitReport};
use crate::details::between;
use crate::overview::Sources;

/// A worker that is known to a pool.
#[derive(Clone, Debug)]
pub(crate) struct WorkerState {
    pub(crate) name: WorkerName,
    pub(crate) presence: WorkerPresence,
    /// The pause by an operator that lasts until it is ended.
    lasting: Option<OperatorPause>,
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

    /// Returns why it runs no more jobs.
    pub(crate) fn explain(&self, report: &WaitReport, moment: &Moment<'_>) -> Explanation {
        let (kind, text) = match &self.presence {
            WorkerPresence::Connected(worker) if !worker.causes.is_empty() => {
                (kind_of(&worker.causes), paused(worker))
            }
            _ if moment.assignments_stopped => (
                "scheduler-stopping",
                "the scheduler is shutting down, and starts no more jobs".to_owned(),
            ),
            WorkerPresence::Connected(worker) => active(worker, report, moment),
            away => ("not-connected", self.away(away)),
        };
        Explanation {
            kind: kind.to_owned(),
            text: limited(text),
            ..Explanation::default()
        }
    }

    fn away(&self, presence: &WorkerPresence) -> String {
        let paused = match &self.lasting {
            Some(pause) => format!("; it is {}", Cause::Operator(pause.clone())),
            None => String::new(),
        };
        format!("not connected ({}); start it{paused}", LastSeen(presence))
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

/// Returns why a worker that is paused runs no more jobs.
fn paused(worker: &Connected) -> String {
    let advice = match worker.causes.iter().any(Cause::is_by_operator) {
        true => "; to end the pause, use ocluster-admin unpause",
        false => "",
    };
    format!("{}{advice}", Causes(&worker.causes))
}

/// Returns why a worker that takes jobs runs no more of them.
fn active(worker: &Connected, report: &WaitReport, moment: &Moment<'_>) -> (&'static str, String) {
    let running = format!(
        "runs {} of {}",
        worker.running,
        counted(worker.capacity, "job")
    );
    let waiting = report.waiting();
    if worker.is_probed {
        let text = "is asked whether it answers, and gets jobs when it does";
        return ("probing", format!("{running}; {text}"));
    }
    if waiting == 0 {
        return ("no-jobs", format!("{running}; no other jobs wait"));
    }
    if worker.asks_for > worker.queued {
        // Others wait for their workers: what waits for any worker would be here.
        let moves = match report.next_move_in(moment.now) {
            Some(left) if left > Duration::ZERO => {
                format!("takes the first of them in {}", CompactElapsed(left))
            }
            _ => "takes the first of them now".to_owned(),
        };
        let text = format!(
            "{} for other workers, which have their cache hints, and this one {moves}",
            wait(waiting)
        );
        return ("cache-wait", format!("{running}; {text}"));
    }
    if worker.asks_for > 0 {
        return ("starting", format!("{running}; is about to take another"));
    }
    match worker.running >= usize::try_from(worker.capacity).unwrap_or(usize::MAX) {
        true => ("full", format!("{running}; {}", wait(waiting))),
        false => (
            "not-asking",
            format!(
                "{running}, and asks for no more: these may take several places (--job-weight); {}",
                wait(waiting)
            ),
        ),
    }
}

fn wait(jobs: usize) -> String {
    match jobs {
        1 => "1 job waits".to_owned(),
        jobs => format!("{jobs} jobs wait"),
    }
}
