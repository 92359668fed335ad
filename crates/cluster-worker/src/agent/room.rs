//! Disk space for jobs: the worker pauses and prunes when there is too little.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use cluster_api::{PauseReason, RpcError};

use super::{Agent, PRUNE_INTERVAL};
use crate::activity::Activity;
use crate::executor::Pruned;

/// How often to check whether there is room again, after pruning did not help.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_secs(60);

impl Agent {
    /// Waits until there is room on the disk for a job. Makes room if necessary.
    pub(super) async fn ensure_room(&self, activity: &Activity<'_>) -> Result<(), RpcError> {
        if self.has_room().await {
            return Ok(());
        }
        tracing::warn!("Disk-space low. Will finish current jobs and then prune.");
        let low =
            "Docker's disk is nearly full; it will be pruned when the running jobs have ended";
        let pause = activity.pause(docker_disk(low, "")).await?;
        self.running.idle().await;
        while !self.make_room().await {
            let full = "Docker's disk is nearly full, even after pruning";
            let advice = "make room on the disk of Docker's files, or lower --prune-threshold or raise \
                          --docker-max-df-size";
            activity.change(pause, docker_disk(full, advice)).await?;
            if self.room_within(PRUNE_INTERVAL).await {
                break;
            }
        }
        tracing::info!("Prune complete. Re-activating queue...");
        activity.pruned(&Pruned::All).await;
        activity.resume(pause).await
    }

    /// Reports what the backends prune by themselves. Never ends.
    pub(super) async fn report_pruned(&self, activity: &Activity<'_>) -> Infallible {
        let mut backends = self.runner.executors.prune_reports();
        let report = async |pruned: &Pruned| activity.pruned(pruned).await;
        let following = backends.iter_mut().map(|backend| backend.follow(&report));
        futures::future::join_all(following).await;
        std::future::pending().await
    }

    async fn has_room(&self) -> bool {
        for backend in self.runner.executors.backends() {
            if !backend.has_room().await {
                return false;
            }
        }
        true
    }

    /// Makes room in all backends with too little. Returns whether all have enough now.
    async fn make_room(&self) -> bool {
        tracing::info!("All jobs finished. Pruning...");
        for backend in self.runner.executors.backends() {
            if backend.has_room().await {
                continue;
            }
            if let Err(error) = backend.make_room().await {
                tracing::warn!("{error} Will retry in one hour.");
                return false;
            }
        }
        true
    }

    /// Waits at most `time` until there is room without pruning. Returns whether there is.
    async fn room_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while Instant::now() < until {
            tokio::time::sleep(ROOM_CHECK_INTERVAL).await;
            if self.has_room().await {
                return true;
            }
        }
        false
    }
}

fn docker_disk(problem: &str, advice: &str) -> PauseReason {
    PauseReason::new("docker-disk", problem, advice)
}
