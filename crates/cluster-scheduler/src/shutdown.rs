//! The end of a scheduler: no more jobs are assigned, and running jobs have a grace period.
//!
//! Logs and results pass through the scheduler, so it waits for what would be lost with it: attached jobs, and attempts
//! of durable ones on workers that do not keep them. Queued attached jobs are lost; their clients learn it from the
//! closed connections.
//!
//! A worker's end (`agent/ending.rs` in `cluster-worker`) looks alike, but has other rules: a worker cancels the jobs
//! that exceed the grace period and waits for them to stop; a scheduler exits, whereupon the workers stop them. Which
//! signal has a grace period is one rule for both, in `cli::interrupt`.

use std::time::Duration;

use futures::future::{FutureExt as _, select_all};
use tokio::time::Instant;
use vat::Connections;
use visible::counted;

use crate::cluster::Cluster;

/// How often the number of running jobs is logged while it does not change.
const REMINDER: Duration = Duration::from_secs(30);

/// How long connections are kept open after the last message, so that it is sent.
const CLOSE_DELAY: Duration = Duration::from_millis(200);

/// Stops assigning queued jobs, and waits for running ones.
pub(crate) async fn drain(cluster: &Cluster, connections: &Connections, within: Duration) {
    cluster.begin_shutdown();
    let deadline = Instant::now() + within;
    let queued: usize = cluster
        .pools()
        .values()
        .map(|pool| pool.stop_assigning())
        .sum();
    if queued > 0 {
        tracing::info!(target: "scheduler", "Dropping {}: shutting down", counted(queued, "queued job"));
    }
    let ended = async {
        until_idle(cluster, deadline).await;
        log_idle(cluster);
        // A result waits behind all of the log that its client has asked for.
        connections.flushed().await;
    };
    tokio::select! {
        biased;
        () = ended => {}
        () = tokio::time::sleep_until(deadline) => match running(cluster) {
            0 => tracing::warn!(
                target: "scheduler",
                "Some peers had not received all data after {} s: exiting anyway", within.as_secs_f64()
            ),
            running => tracing::warn!(
                target: "scheduler",
                "{} still running after {} s: exiting anyway", counted(running, "job"), within.as_secs_f64()
            ),
        },
    }
    tokio::time::sleep(CLOSE_DELAY).await;
}

/// Waits until no job is running, and logs how many are.
async fn until_idle(cluster: &Cluster, deadline: Instant) {
    let mut changes: Vec<_> = cluster
        .pools()
        .values()
        .map(|pool| pool.workers_changed())
        .collect();
    let mut last_logged = 0;
    loop {
        let running = running(cluster);
        if running == 0 {
            return;
        }
        if running != last_logged {
            log_progress(running, deadline);
            last_logged = running;
        }
        let change = select_all(changes.iter_mut().map(|pool| pool.changed().boxed_local()));
        // Log it again if nothing has changed for some time.
        if tokio::time::timeout(REMINDER, change).await.is_err() {
            last_logged = 0;
        }
    }
}

fn log_progress(running: usize, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    tracing::info!(
        target: "scheduler",
        "Waiting for {} to end, for up to {} s", counted(running, "job"), left.as_secs_f64().ceil()
    );
}

fn log_idle(cluster: &Cluster) {
    let kept: usize = cluster.pools().values().map(|pool| pool.count_kept()).sum();
    match kept {
        0 => tracing::info!(target: "scheduler", "No job is running any more"),
        kept => tracing::info!(
            target: "scheduler",
            "No job is running any more that would be lost; not waiting for {}, which workers keep",
            counted(kept, "durable job")
        ),
    }
}

fn running(cluster: &Cluster) -> usize {
    cluster
        .pools()
        .values()
        .map(|pool| pool.count_running())
        .sum()
}
