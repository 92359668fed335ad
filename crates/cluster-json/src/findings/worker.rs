//! Judges a worker.

use std::time::Duration;

use cluster_api::{ConnectedWorker, InactiveReason, Presence, WorkerDetails};

use super::{Commands, Finding, Severity};
use visible::CompactElapsed;

/// A job that has run this long is likely to be stuck.
const LONG_RUN: Duration = Duration::from_secs(6 * 3600);

/// With this many registrations, the last of them recent, the connection is unstable.
const MANY_REGISTRATIONS: u64 = 5;
const FRESH: Duration = Duration::from_secs(600);

/// Returns the problems of a worker; none if it is fit.
pub(super) fn findings(commands: Commands<'_>, worker: &WorkerDetails) -> Vec<Finding> {
    let name = &worker.name;
    let away = |found: String| {
        let forget = commands.line("forget", name);
        vec![warning(
            name,
            found,
            format!("start it, or if it is gone for good: {forget}"),
        )]
    };
    let connected = match &worker.presence {
        Presence::NeverSeen => return away("not seen since the scheduler started".to_owned()),
        Presence::Left(ago) => return away(format!("left {} ago", CompactElapsed(*ago))),
        Presence::Connected(connected) => connected,
    };
    let mut findings: Vec<Finding> = connected
        .inactive
        .iter()
        .filter_map(|reason| of_reason(commands, name, connected, *reason))
        .collect();
    findings.extend(connected.pause_reasons.iter().map(|reason| {
        let found = format!("has paused itself: {}", reason.problem);
        match reason.advice.as_str() {
            "" => warning(name, found, "wait: this ends by itself"),
            todo => problem(
                name,
                found,
                format!("on the machine at {}: {todo}", connected.address),
            ),
        }
    }));
    if worker.registrations >= MANY_REGISTRATIONS && connected.registered_for < FRESH {
        findings.push(warning(
            name,
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
        findings.push(warning(
            name,
            format!(
                "has been running a job of {} for {}",
                job.client,
                CompactElapsed(job.running_for)
            ),
            "if it is stuck, let its client cancel it, or restart the worker",
        ));
    }
    findings
}

fn of_reason(
    commands: Commands<'_>,
    name: &str,
    connected: &ConnectedWorker,
    reason: InactiveReason,
) -> Option<Finding> {
    let warning = |found: &str, todo: String| Some(warning(name, found, todo));
    match reason {
        InactiveReason::NotAnswering => Some(problem(
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
            warning("paused by an operator", commands.line("unpause", name))
        }
        InactiveReason::TemporaryPause => warning(
            "paused by an operator until it reconnects",
            commands.line("unpause-worker", name),
        ),
        InactiveReason::ShuttingDown => None,
        InactiveReason::Other => warning(
            "takes no jobs, for a reason unknown to this version",
            format!("see {}", commands.line("show", "")),
        ),
    }
}

fn warning(worker: &str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    finding(worker, Severity::Warning, found.into(), advice.into())
}

fn problem(worker: &str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    finding(worker, Severity::Problem, found.into(), advice.into())
}

fn finding(worker: &str, severity: Severity, found: String, advice: String) -> Finding {
    Finding {
        worker: Some(worker.to_owned()),
        severity,
        found,
        advice: Some(advice),
    }
}
