//! Judges what our scheduler reports about a worker.

use std::time::Duration;

use cluster_api::{ConnectedWorker, InactiveReason, Presence, WorkerDetails};

use super::advice::Advice;
use crate::doctor::check::Check;
use visible::CompactElapsed;

/// A job that has run this long is likely to be stuck.
const LONG_RUN: Duration = Duration::from_secs(6 * 3600);

/// With this many registrations, the last of them recent, the connection is unstable.
const MANY_REGISTRATIONS: u64 = 5;
const FRESH: Duration = Duration::from_secs(600);

/// Returns the problems of a worker; none if it is fit.
pub(super) fn judge(advice: &Advice<'_>, worker: &WorkerDetails) -> Vec<Check> {
    let name = format!("worker {} of {}", worker.name, advice.pool);
    let away = |found: String| {
        let forget = advice.command("forget", &worker.name);
        vec![Check::warning(
            name.clone(),
            found,
            format!("start it, or if it is gone for good: {forget}"),
        )]
    };
    let connected = match &worker.presence {
        Presence::NeverSeen => return away("not seen since the scheduler started".to_owned()),
        Presence::Left(ago) => return away(format!("left {} ago", CompactElapsed(*ago))),
        Presence::Connected(connected) => connected,
    };
    let mut checks: Vec<Check> = connected
        .inactive
        .iter()
        .filter_map(|reason| judge_reason(advice, &name, &worker.name, connected, *reason))
        .collect();
    checks.extend(connected.pause_reasons.iter().map(|reason| {
        let found = format!("has paused itself: {}", reason.problem);
        match reason.advice.as_str() {
            "" => Check::warning(name.clone(), found, "wait: this ends by itself"),
            todo => Check::problem(
                name.clone(),
                found,
                format!("on the machine at {}: {todo}", connected.address),
            ),
        }
    }));
    if worker.registrations >= MANY_REGISTRATIONS && connected.registered_for < FRESH {
        checks.push(Check::warning(
            name.clone(),
            format!(
                "has registered {} times, last {} ago",
                worker.registrations,
                CompactElapsed(connected.registered_for)
            ),
            "see its log for why it reconnects: the network, or a supervisor that restarts it",
        ));
    }
    for job in connected
        .running
        .iter()
        .filter(|job| job.running_for > LONG_RUN)
    {
        checks.push(Check::warning(
            name.clone(),
            format!(
                "has been running a job of {} for {}",
                job.client,
                CompactElapsed(job.running_for)
            ),
            "if it is stuck, let its client cancel it, or restart the worker",
        ));
    }
    checks
}

fn judge_reason(
    advice: &Advice<'_>,
    name: &str,
    worker: &str,
    connected: &ConnectedWorker,
    reason: InactiveReason,
) -> Option<Check> {
    let warning = |found: &str, todo: String| Some(Check::warning(name, found, todo));
    match reason {
        InactiveReason::NotAnswering => Some(Check::problem(
            name,
            format!(
                "connected, but unresponsive for {}",
                CompactElapsed(connected.silent_for)
            ),
            format!(
                "check the machine at {}: it may be stopped, swapping, or out of disk space",
                connected.address
            ),
        )),
        // Each of them has a line of its own.
        InactiveReason::WorkerPause if !connected.pause_reasons.is_empty() => None,
        InactiveReason::WorkerPause => warning(
            "has paused itself, without a reason",
            format!(
                "see its log; on that machine: ocluster doctor (it connects from {})",
                connected.address
            ),
        ),
        InactiveReason::AdminPause => {
            warning("paused by an operator", advice.command("unpause", worker))
        }
        InactiveReason::TemporaryPause => warning(
            "paused by an operator until it reconnects",
            advice.command("unpause-worker", worker),
        ),
        InactiveReason::ShuttingDown => None,
        InactiveReason::Other => warning(
            "takes no jobs, for a reason unknown to this version",
            format!("see {}", advice.command("show", "")),
        ),
    }
}
