//! What needs attention.

use cluster_api::{ConnectedWorker, InactiveReason, Presence};
use cluster_json::findings::{self, Commands, Severity};
use visible::counted;

use crate::cluster::PoolState;
use crate::pages::{Finding, PoolRow, WorkerCounts};

/// How a worker counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkerStatus {
    Ready,
    Paused,
    Unresponsive,
    Away,
}

impl WorkerStatus {
    pub(super) fn of(presence: &Presence) -> Self {
        let Presence::Connected(ConnectedWorker { inactive, .. }) = presence else {
            return Self::Away;
        };
        match inactive.as_slice() {
            [] => Self::Ready,
            reasons if reasons.contains(&InactiveReason::NotAnswering) => Self::Unresponsive,
            _ => Self::Paused,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Paused => "paused",
            Self::Unresponsive => "unresponsive",
            Self::Away => "away",
        }
    }
}

/// Returns how many workers are in which state.
pub(super) fn counts(state: &PoolState) -> WorkerCounts {
    let mut counts = WorkerCounts::default();
    for worker in &state.details.workers {
        match WorkerStatus::of(&worker.presence) {
            WorkerStatus::Ready => counts.ready += 1,
            WorkerStatus::Paused => counts.paused += 1,
            WorkerStatus::Unresponsive => counts.unresponsive += 1,
            WorkerStatus::Away => counts.away += 1,
        }
    }
    counts
}

/// Returns what needs attention in a pool, as `ocluster doctor --connect` has it. Only operators get the details.
pub(super) fn of(state: &PoolState, row: &PoolRow, is_admin: bool) -> Vec<Finding> {
    let commands = Commands {
        cap: "admin.cap",
        pool: &state.name,
    };
    // It may have the names of operators and their notes.
    let obstacle = state.obstacle.as_ref().map(|obstacle| match is_admin {
        true => obstacle.as_str(),
        false => "no worker of this pool takes jobs",
    });
    let judged = findings::of_pool(commands, &state.details, obstacle);
    let bad = judged
        .into_iter()
        .filter(|finding| finding.severity > Severity::Fine)
        .filter(|finding| is_admin || finding.worker.is_none());
    let found = |worker, is_problem, text, advice: Option<String>| Finding {
        pool: Some(state.name.clone()),
        worker,
        is_problem,
        text,
        advice: advice.filter(|_| is_admin),
    };
    let mut findings: Vec<Finding> = bad
        .map(|bad| {
            let is_problem = bad.severity == Severity::Problem;
            found(bad.worker, is_problem, bad.found, bad.advice)
        })
        .collect();
    if row.workers.unresponsive > 0 && !is_admin {
        let workers = counted(row.workers.unresponsive, "worker");
        let text = format!("{workers} connected, but unresponsive");
        findings.push(found(None, false, text, None));
    }
    if row.lost > 0 {
        let jobs = counted(row.lost, "job");
        let text = format!("{jobs} of the last hour lost with their workers");
        let advice = "see the registrations of the workers, and why they ended";
        findings.push(found(None, false, text, Some(advice.to_owned())));
    }
    findings
}
