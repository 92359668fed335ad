//! Draining: pausing workers, and waiting until nothing runs on them (`pause --wait`).

use std::rc::Rc;

use cluster_api::{PoolAdmin, Progress, RpcError, ServeProgress};

use super::service::failed;
use crate::error::CommandError;
use crate::program::print_line;

/// Pauses every one of `workers`, and returns when no job runs on any of them, printing the progress of each.
pub(super) async fn drain(pool: &PoolAdmin, workers: &[String]) -> Result<(), CommandError> {
    let drains = workers
        .iter()
        .map(async |worker| pool.drain(worker, progress_of(worker)).await);
    futures::future::try_join_all(drains)
        .await
        .map_err(failed("PoolAdmin.drain"))?;
    Ok(())
}

/// Returns a `Progress` that prints each report on a line of its own, after the worker's name.
pub(super) fn progress_of(worker: &str) -> Progress {
    Progress::serve(Rc::new(PrintedProgress {
        worker: worker.to_owned(),
    }))
}

struct PrintedProgress {
    worker: String,
}

impl ServeProgress for PrintedProgress {
    async fn report(self: Rc<Self>, status: String) -> Result<(), RpcError> {
        // That nobody reads our output any more is no reason to stop what the operator asked for.
        drop(print_line(format_args!("{}: {status}", self.worker)));
        Ok(())
    }
}
