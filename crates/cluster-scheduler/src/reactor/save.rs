//! Changes that are saved to the database.

use pool::{ClientId, Rate, WorkerName};

use super::Reactor;
use crate::db::{Ack, CachedRow, Change, RateRow, WorkerRow, WriteError};

/// Writes on their way to the disk. A caller may wait for them.
#[derive(Default)]
pub(crate) struct PendingSave(pub(super) Vec<Ack>);

impl PendingSave {
    /// Waits until all of them are on disk.
    pub(crate) async fn durable(self) -> Result<(), WriteError> {
        for ack in self.0 {
            ack.await?;
        }
        Ok(())
    }
}

impl Reactor {
    pub(super) fn save(&self, change: Change) -> Ack {
        self.db.save_acked(change, self.clock.date())
    }

    pub(super) fn cached(&self, hint: &str, worker: &WorkerName) -> CachedRow {
        let (pool, hint, worker) = (self.name.to_string(), hint.to_owned(), worker.to_string());
        CachedRow { pool, hint, worker }
    }

    pub(super) fn paused(&self, worker: &WorkerName, paused: bool) -> Change {
        let (pool, worker) = (self.name.to_string(), worker.to_string());
        Change::Worker(WorkerRow {
            pool,
            worker,
            paused,
        })
    }

    pub(super) fn rate(&self, client: &ClientId, rate: Rate) -> Change {
        let (pool, client) = (self.name.to_string(), client.to_string());
        Change::Rate(RateRow {
            pool,
            client,
            rate: rate.get(),
        })
    }

    pub(super) fn forgotten(&self, worker: &WorkerName) -> Change {
        let (pool, worker) = (self.name.to_string(), worker.to_string());
        Change::ForgetWorker { pool, worker }
    }
}
