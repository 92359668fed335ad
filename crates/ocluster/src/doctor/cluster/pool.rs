//! Judges what our scheduler reports about a pool.

use std::time::Duration;

use cluster_api::{ConnectedWorker, PoolDetails, Presence};

use super::advice::Advice;
use super::worker;
use crate::doctor::check::Check;
use visible::{CompactElapsed, counted};

/// A job that has waited this long for a worker is worth a warning.
const LONG_WAIT: Duration = Duration::from_secs(3600);

/// Judges a pool and each of its workers.
pub(super) fn judge(advice: &Advice<'_>, details: &PoolDetails) -> Vec<Check> {
    let PoolDetails {
        workers,
        backlog,
        oldest_wait,
        ..
    } = details;
    let connected: Vec<&ConnectedWorker> = workers
        .iter()
        .filter_map(|worker| match &worker.presence {
            Presence::Connected(connected) => Some(connected),
            Presence::NeverSeen | Presence::Left(_) => None,
        })
        .collect();
    let active = connected
        .iter()
        .filter(|worker| worker.inactive.is_empty())
        .count();
    let queued = connected.iter().map(|worker| worker.queued).sum::<u32>() + backlog;
    let name = format!("pool {}", advice.pool);
    let (found, start) = if connected.is_empty() {
        (
            format!("no worker is connected, {queued} wait"),
            "start a worker",
        )
    } else {
        (
            format!(
                "{active} of {} workers take jobs; {}, {queued} wait",
                workers.len(),
                busy(&connected)
            ),
            "start a worker, or unpause one that is connected",
        )
    };
    let pool = if queued > 0 && active == 0 {
        Check::problem(name, format!("{found}, and no worker accepts jobs"), start)
    } else if active == 0 {
        Check::warning(name, found, start)
    } else if *oldest_wait > LONG_WAIT {
        Check::warning(
            name,
            format!("{found}, the oldest for {}", CompactElapsed(*oldest_wait)),
            format!(
                "add workers, or see which client submits so much: {}",
                advice.command("show", "")
            ),
        )
    } else {
        Check::fit(name, found)
    };
    let mut checks = vec![pool];
    for worker in workers {
        checks.extend(worker::judge(advice, worker));
    }
    checks
}

/// Returns how much of their capacity the workers use. The jobs of workers that report none are counted apart.
fn busy(connected: &[&ConnectedWorker]) -> String {
    let (reporting, others): (Vec<&ConnectedWorker>, Vec<&ConnectedWorker>) =
        connected.iter().partition(|worker| worker.capacity > 0);
    let running = |workers: &[&ConnectedWorker]| -> usize {
        workers.iter().map(|worker| worker.running.len()).sum()
    };
    let capacity: u32 = reporting.iter().map(|worker| worker.capacity).sum();
    let slots = format!("{} of {capacity} slots are busy", running(&reporting));
    let apart = format!(
        "{} run on workers that report no capacity",
        counted(running(&others), "job")
    );
    if others.is_empty() {
        slots
    } else if reporting.is_empty() {
        apart
    } else {
        format!("{slots}, {apart}")
    }
}
