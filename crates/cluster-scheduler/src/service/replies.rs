//! What several services answer with.

use cluster_api::RpcError;
use pool::WorkerName;

use crate::cluster::not_durable;
use crate::reactor::PendingSave;

pub(super) fn unknown_worker() -> RpcError {
    RpcError::failed(pool::UnknownWorker.to_string())
}

/// Returns the name of a worker that need not be known.
pub(super) fn new_name(name: &str) -> Result<WorkerName, RpcError> {
    WorkerName::new(name).map_err(|error| RpcError::failed(format!("worker's {error}")))
}

/// Returns a name that a worker could have.
pub(super) fn known_name(name: &str) -> Result<WorkerName, RpcError> {
    WorkerName::new(name).map_err(|_| unknown_worker())
}

/// Waits until a change that is in force will also last.
pub(super) async fn durable(saving: PendingSave) -> Result<(), RpcError> {
    saving.durable().await.map_err(not_durable)
}
