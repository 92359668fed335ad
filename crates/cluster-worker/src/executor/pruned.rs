//! What backends prune by themselves, and how the scheduler gets to know it.

use tokio::sync::{mpsc, watch};

/// The cache hints for which a backend has nothing cached any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pruned {
    /// All, or it is not known which.
    All,
    /// These. There is at least one.
    Hints(Vec<String>),
}

/// A backend's end of the reports to the scheduler.
pub(crate) struct PruneReports {
    /// What the scheduler has not been told yet. `None` for nothing.
    pub(crate) unreported: watch::Receiver<Option<Pruned>>,
    /// Takes what the scheduler was told.
    pub(crate) reported: mpsc::UnboundedSender<Pruned>,
}

impl PruneReports {
    /// Calls `report` with what the scheduler has not been told yet, now and whenever there is something new. It
    /// returns whether the scheduler knows now. Never ends.
    pub(crate) async fn follow(&mut self, report: impl AsyncFn(&Pruned) -> bool) {
        loop {
            let pruned = self.unreported.borrow_and_update().clone();
            if let Some(pruned) = pruned
                && report(&pruned).await
            {
                // An error means that the backend has ended.
                drop(self.reported.send(pruned));
            }
            if self.unreported.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
