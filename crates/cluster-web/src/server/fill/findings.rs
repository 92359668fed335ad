//! What needs attention.

use cluster_api::{ConnectedWorker, InactiveReason, Presence};
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

/// Returns what needs attention in a pool. Only operators get the details.
pub(super) fn of(state: &PoolState, row: &PoolRow, is_admin: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |is_problem, text: String, advice: Option<&str>| {
        findings.push(Finding {
            pool: Some(state.name.clone()),
            is_problem,
            text,
            advice: advice.map(str::to_owned),
        });
    };
    // It may have the names of operators and their notes.
    let obstacle = state.obstacle.as_ref().map(|obstacle| match is_admin {
        true => obstacle.as_str(),
        false => "no worker of this pool takes jobs",
    });
    match obstacle {
        Some(obstacle) if row.queued > 0 => {
            let wait = if row.queued == 1 { "waits" } else { "wait" };
            let jobs = counted(row.queued, "job");
            add(true, format!("{jobs} {wait}: {obstacle}"), None);
        }
        Some(obstacle) => add(false, format!("No job could run: {obstacle}"), None),
        None => {}
    }
    if row.workers.unresponsive > 0 {
        let workers = counted(row.workers.unresponsive, "worker");
        add(
            false,
            format!("{workers} connected, but unresponsive"),
            Some("Look at the machine and at its network; it gets no jobs until it answers."),
        );
    }
    if row.lost > 0 {
        let jobs = counted(row.lost, "job");
        add(
            false,
            format!("{jobs} of the last hour lost with their workers"),
            Some("See the registrations of the workers, and why they ended."),
        );
    }
    findings
}
