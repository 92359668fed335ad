//! What is saved.

use pool::{ClientId, Rate, WorkerName};

use super::Reactor;
use crate::db::{Ack, CachedRow, Note, RateRow, WorkerRow, WriteError};

/// Writes on their way to the disk. Nobody has to wait for them.
#[derive(Default)]
pub(crate) struct Saving(pub(super) Vec<Ack>);

impl Saving {
    /// Waits until all of them are on disk.
    pub(crate) async fn durable(self) -> Result<(), WriteError> {
        for ack in self.0 {
            ack.await?;
        }
        Ok(())
    }
}

impl Reactor {
    pub(super) fn save(&self, note: Note) -> Ack {
        self.db.note_acked(note, self.clock.date())
    }

    pub(super) fn cached(&self, hint: &str, worker: &WorkerName) -> Note {
        let (pool, hint, worker) = (self.name.to_string(), hint.to_owned(), worker.to_string());
        Note::Cached(CachedRow { pool, hint, worker })
    }

    pub(super) fn paused(&self, worker: &WorkerName, paused: bool) -> Note {
        let (pool, worker) = (self.name.to_string(), worker.to_string());
        Note::Worker(WorkerRow {
            pool,
            worker,
            paused,
        })
    }

    pub(super) fn rate(&self, client: &ClientId, rate: Rate) -> Note {
        let (pool, client) = (self.name.to_string(), client.to_string());
        Note::Rate(RateRow {
            pool,
            client,
            rate: rate.get(),
        })
    }

    pub(super) fn forgotten(&self, worker: &WorkerName) -> Note {
        let (pool, worker) = (self.name.to_string(), worker.to_string());
        Note::ForgetWorker { pool, worker }
    }
}
