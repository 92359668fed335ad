//! Draining a worker: it gets no more jobs, and its running jobs are waited for.

use cluster_api::{Progress, ProgressStatus, RpcError};
use pool::{WorkerId, WorkerName};

use super::replies::{durable, unknown_worker};
use crate::reactor::Reactor;

/// Pauses a worker, and waits until it runs no jobs or has disconnected.
pub(super) async fn drain(
    reactor: &Reactor,
    worker: &WorkerName,
    progress: Option<&Progress>,
) -> Result<(), RpcError> {
    let saving = reactor.set_paused(worker, true, false);
    durable(saving.map_err(|pool::UnknownWorker| unknown_worker())?).await?;
    match reactor.connected(worker) {
        Some((id, _)) => {
            wait_until_idle(reactor, worker, id, |running| {
                report(progress, running_jobs(running))
            })
            .await;
        }
        None => report(progress, ProgressStatus::NotConnected).await,
    }
    Ok(())
}

/// Waits until the worker registered as `id` runs no jobs, or has disconnected.
///
/// Calls `on_change` with how many jobs it runs, at once and whenever the number has changed.
pub(super) async fn wait_until_idle<F: Future<Output = ()>>(
    reactor: &Reactor,
    worker: &WorkerName,
    id: WorkerId,
    on_change: impl Fn(usize) -> F,
) {
    let mut changed = reactor.workers_changed();
    let mut reported = None;
    loop {
        let running = match reactor.worker(worker) {
            Some(info) if info.registration == Some(id) => info.running,
            Some(_) | None => 0,
        };
        if reported != Some(running) {
            on_change(running).await;
            reported = Some(running);
        }
        // An error means that the reactor was dropped, which cannot happen while it is borrowed.
        if running == 0 || changed.changed().await.is_err() {
            return;
        }
    }
}

/// Returns the progress of a worker that runs so many jobs.
pub(super) fn running_jobs(running: usize) -> ProgressStatus {
    ProgressStatus::RunningJobs(u32::try_from(running).unwrap_or(u32::MAX))
}

/// Reports progress to an operator's program, one status at a time.
pub(super) async fn report(progress: Option<&Progress>, status: ProgressStatus) {
    if let Some(progress) = progress
        && let Err(error) = progress.report_status(status.clone()).await
    {
        tracing::warn!(target: "scheduler", "Cannot send a progress report ({status}): {error}");
    }
}
