//! How a scheduler ends: it refuses what is queued, and gives what is running some time.
//!
//! Queued jobs are lost with the scheduler whatever it does, so they are told at once, while somebody can still tell them.
//! Those that run need it too, as their logs and results pass through it.

use std::time::Duration;

use cluster_api::RpcError;
use futures::future::{FutureExt as _, select_all};
use tokio::time::Instant;

use crate::cluster::Cluster;

/// How often the log says what is still waited for, if nothing changes.
const REMINDER: Duration = Duration::from_secs(30);

/// How long connections are kept after the last word, for it to be sent.
const FAREWELL: Duration = Duration::from_millis(200);

/// Returns what clients are told whose jobs will not be done. It is no failure of theirs: they may try again.
pub(crate) fn shutting_down() -> RpcError {
    RpcError::overloaded("the scheduler is shutting down; submit the job again")
}

/// Refuses all jobs but those that run, and waits for these.
pub(crate) async fn drain(cluster: &Cluster, within: Duration) {
    cluster.stop_accepting();
    let deadline = Instant::now() + within;
    let mut refused = 0;
    for pool in cluster.pools().values() {
        refused += pool.refuse_queued(&shutting_down()).await;
    }
    if refused > 0 {
        tracing::info!(target: "scheduler", "Refused {refused} queued jobs");
    }
    tokio::select! {
        biased;
        () = until_idle(cluster, deadline) => tracing::info!(target: "scheduler", "No job is running any more"),
        () = tokio::time::sleep_until(deadline) => tracing::warn!(
            target: "scheduler",
            "{} still running after {} s: ending without waiting for them", jobs(running(cluster)), within.as_secs_f64()
        ),
    }
    tokio::time::sleep(FAREWELL).await;
}

/// Waits until no job is running, and says how many are.
async fn until_idle(cluster: &Cluster, deadline: Instant) {
    let mut changes: Vec<_> = cluster
        .pools()
        .values()
        .map(|pool| pool.workers_changed())
        .collect();
    let mut said = 0;
    loop {
        let running = running(cluster);
        if running == 0 {
            return;
        }
        if running != said {
            say(running, deadline);
            said = running;
        }
        let change = select_all(changes.iter_mut().map(|pool| pool.changed().boxed_local()));
        // Without a change for some time, it is said again.
        if tokio::time::timeout(REMINDER, change).await.is_err() {
            said = 0;
        }
    }
}

fn say(running: usize, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    tracing::info!(
        target: "scheduler",
        "Waiting for {} to end, for up to {} s", jobs(running), left.as_secs_f64().ceil()
    );
}

fn running(cluster: &Cluster) -> usize {
    cluster
        .pools()
        .values()
        .map(|pool| pool.count_running())
        .sum()
}

fn jobs(count: usize) -> String {
    if count == 1 {
        "1 job".to_owned()
    } else {
        format!("{count} jobs")
    }
}
