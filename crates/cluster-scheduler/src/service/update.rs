//! Updating a worker: it finishes what it runs, replaces itself, and comes back.

use std::time::Duration;

use cluster_api::{Progress, ProgressStatus, RpcError, RpcErrorKind, Worker};
use pool::{Disconnected, InactiveReason, WorkerId, WorkerName};

use super::drain::{report, running_jobs, wait_until_idle};
use super::replies::unknown_worker;
use crate::reactor::Reactor;

/// Updates a connected worker, which has to come back within `limit`. If that fails and the worker is still there, it
/// gets jobs again.
pub(super) async fn update(
    reactor: &Reactor,
    worker: &WorkerName,
    progress: Option<&Progress>,
    limit: Duration,
) -> Result<(), RpcError> {
    let (id, handle) = reactor.connected(worker).ok_or_else(unknown_worker)?;
    let _active_again = ShuttingDown::start(reactor, id)?;
    tokio::select! {
        restarting = restart(reactor, worker, id, handle, progress) => restarting?,
        () = reactor.until_unresponsive(id) => {
            let name = worker.as_str();
            return Err(RpcError::failed(format!("worker {name:?} does not answer")));
        }
    }
    tracing::info!(target: "scheduler", "Waiting for {:?} to reconnect after update", worker.as_str());
    tokio::time::timeout(limit, wait_for_return(reactor, worker, id))
        .await
        .map_err(|_| RpcError::failed("Timeout waiting for worker to reconnect!"))
}

/// Has a worker restart, once it runs no job. Returns when it has disconnected.
async fn restart(
    reactor: &Reactor,
    worker: &WorkerName,
    id: WorkerId,
    handle: Worker,
    progress: Option<&Progress>,
) -> Result<(), RpcError> {
    let name = worker.as_str();
    wait_until_idle(reactor, worker, id, |running| async move {
        if running > 0 {
            report(progress, running_jobs(running)).await;
        }
    })
    .await;
    if reactor.connected(worker).is_none_or(|(now, _)| now != id) {
        return Err(RpcError::failed(format!(
            "worker {name:?} disconnected before it was updated"
        )));
    }
    report(progress, ProgressStatus::Restarting).await;
    tracing::info!(target: "scheduler", "Restarting {name:?}");
    match handle.self_update().await {
        Err(error) if error.kind == RpcErrorKind::Disconnected => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(RpcError::failed(format!(
            "worker {name:?} answered the request to update itself, but has not restarted"
        ))),
    }
}

/// Waits until a worker is registered anew.
async fn wait_for_return(reactor: &Reactor, worker: &WorkerName, old: WorkerId) {
    let mut changed = reactor.workers_changed();
    while reactor.connected(worker).is_none_or(|(id, _)| id == old) {
        // An error means that the reactor was dropped, which cannot happen while it is borrowed.
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps jobs away from a worker until this is dropped, or it has disconnected.
struct ShuttingDown<'a> {
    reactor: &'a Reactor,
    id: WorkerId,
}

impl<'a> ShuttingDown<'a> {
    fn start(reactor: &'a Reactor, id: WorkerId) -> Result<Self, RpcError> {
        reactor
            .set_active(id, InactiveReason::ShuttingDown, false)
            .map_err(|Disconnected| unknown_worker())?;
        Ok(Self { reactor, id })
    }
}

impl Drop for ShuttingDown<'_> {
    fn drop(&mut self) {
        // If it has disconnected, it reconnects without this reason.
        let _: Result<(), Disconnected> =
            self.reactor
                .set_active(self.id, InactiveReason::ShuttingDown, true);
    }
}
