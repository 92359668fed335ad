//! How a scheduler ends: it gives nothing to workers any more, and what is running some time.
//!
//! Logs and results pass through it. What is queued is lost with it; closing the connections tells clients so.

use std::time::Duration;

use futures::future::{FutureExt as _, select_all};
use tokio::time::Instant;
use vat::Connections;

use crate::cluster::Cluster;

/// How often the log says what is still waited for, if nothing changes.
const REMINDER: Duration = Duration::from_secs(30);

/// How long connections are kept after the last word, for it to be sent.
const FAREWELL: Duration = Duration::from_millis(200);

/// Holds back what is queued, and waits for what is running.
pub(crate) async fn drain(cluster: &Cluster, connections: &Connections, within: Duration) {
    cluster.begin_ending();
    let deadline = Instant::now() + within;
    let queued = cluster
        .pools()
        .values()
        .map(|pool| pool.hold_queued())
        .sum();
    if queued > 0 {
        tracing::info!(target: "scheduler", "{} queued: lost, as this scheduler ends", jobs(queued));
    }
    let ended = async {
        until_idle(cluster, deadline).await;
        tracing::info!(target: "scheduler", "No job is running any more");
        // A result waits behind all of the log that its client has asked for.
        connections.flushed().await;
    };
    tokio::select! {
        biased;
        () = ended => {}
        () = tokio::time::sleep_until(deadline) => match running(cluster) {
            0 => tracing::warn!(
                target: "scheduler",
                "Somebody has not taken all that was said after {} s: ending without waiting", within.as_secs_f64()
            ),
            running => tracing::warn!(
                target: "scheduler",
                "{} still running after {} s: ending without waiting for them", jobs(running), within.as_secs_f64()
            ),
        },
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
