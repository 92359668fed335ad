//! Where the tables are: in upstream's file, or in PostgreSQL.

use rusqlite::Connection;

use super::{Change, PutClient, UnixTime, cached, clients, pauses, rates, workers};

/// Something to save.
#[derive(Clone, Copy, Debug)]
pub(super) enum Save<'a> {
    /// A change that is in effect.
    Change(&'a Change),
    /// A client's new secret.
    PutClient(&'a PutClient),
}

/// The tables, for the thread that writes.
pub(super) trait Tables: Send {
    /// Saves all of these in their order, or none, and returns why not.
    fn save(&mut self, saves: &[(Save<'_>, UnixTime)]) -> Result<(), String>;
}

/// The tables in upstream's file.
pub(super) struct FileTables(pub(super) Connection);

impl Tables for FileTables {
    fn save(&mut self, saves: &[(Save<'_>, UnixTime)]) -> Result<(), String> {
        let saved = save_all(&mut self.0, saves);
        saved.map_err(|error| error.to_string())
    }
}

fn save_all(connection: &mut Connection, saves: &[(Save<'_>, UnixTime)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for (save, now) in saves {
        match save {
            Save::Change(change) => save_change(&transaction, change, *now)?,
            Save::PutClient(PutClient { client, digest }) => {
                clients::put(&transaction, client, digest, *now)?;
            }
        }
    }
    transaction.commit()
}

fn save_change(connection: &Connection, change: &Change, now: UnixTime) -> rusqlite::Result<()> {
    match change {
        Change::Cached(row) => cached::put(connection, row, now),
        Change::Uncached(row) => cached::delete(connection, row),
        Change::Worker(row) => {
            if !row.paused {
                pauses::delete(connection, &row.pool, &row.worker)?;
            }
            workers::put(connection, row)
        }
        Change::Pause(row) => pauses::put(connection, row),
        Change::Rate(row) => rates::put(connection, row),
        Change::ForgetWorker { pool, worker } => {
            workers::delete(connection, pool, worker)?;
            pauses::delete(connection, pool, worker)?;
            cached::delete_worker(connection, pool, worker)
        }
        Change::RemoveClient { client } => {
            clients::delete(connection, client)?;
            rates::delete_client(connection, client)
        }
    }
}
