//! A store in one SQLite file.
//!
//! In WAL mode: readers see what is committed while more is saved, and neither waits for the other. Each commit is
//! synced.

mod load;
mod page;
mod save;
mod schema;
mod words;

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use jobs::{JobId, JobKey, Saved};
use pool::{ClientId, Time};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::{
    OpenError, Page, Pruned, Query, Reader, Record, Sealed, StoreError, Submitted, Write, Writer,
};

/// Opens (or makes) the file, and brings it up to date.
///
/// # Errors
///
/// [`OpenError`] when it cannot be used. Nothing has been written to it then.
pub fn open(path: &Path) -> Result<(SqliteWriter, SqliteReader), OpenError> {
    let writer = SqliteWriter(schema::open(path)?);
    let reader = SqliteReader(schema::open_for_reading(path)?);
    Ok((writer, reader))
}

/// The half of the file that saves.
#[derive(Debug)]
pub struct SqliteWriter(Connection);

/// The half of the file that reads.
#[derive(Debug)]
pub struct SqliteReader(Connection);

impl Writer for SqliteWriter {
    fn restore(&mut self) -> Result<Vec<Saved>, StoreError> {
        load::unfinished(&self.0)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let transaction = self.0.transaction()?;
        for write in writes {
            save::save(&transaction, write)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn prune(&mut self, ended_before: Time, at_most: u32) -> Result<Vec<Pruned>, StoreError> {
        let transaction = self.0.transaction()?;
        let pruned = save::prune(&transaction, ended_before, at_most)?;
        transaction.commit()?;
        Ok(pruned)
    }

    fn wipe(&mut self, ended_before: Time, at_most: u32) -> Result<usize, StoreError> {
        save::wipe(&self.0, ended_before, at_most)
    }
}

impl Reader for SqliteReader {
    fn with_key(&mut self, client: &ClientId, key: &JobKey) -> Result<Option<JobId>, StoreError> {
        let mut query = self
            .0
            .prepare_cached("SELECT id FROM jobs WHERE client = ?1 AND key = ?2")?;
        let found = query.query_row(params![client.as_str(), key.as_str()], |row| row.get("id"));
        Ok(found.optional()?.map(id))
    }

    fn in_range(
        &mut self,
        client: &ClientId,
        ids: RangeInclusive<JobId>,
        at_most: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut query = self.0.prepare_cached(
            "SELECT id FROM jobs WHERE id BETWEEN ?1 AND ?2 AND client = ?3 ORDER BY id LIMIT ?4",
        )?;
        let range = (column(*ids.start()), column(*ids.end()));
        let found = query
            .query_map(params![range.0, range.1, client.as_str(), at_most], |row| {
                row.get("id").map(id)
            })?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn record(&mut self, job: JobId) -> Result<Option<Record>, StoreError> {
        load::record(&self.0, job)
    }

    fn page(&mut self, query: &Query) -> Result<Page, StoreError> {
        page::page(&self.0, query)
    }

    fn submitted(&mut self, job: JobId) -> Result<Option<Submitted>, StoreError> {
        load::submitted(&self.0, job)
    }

    fn description(&mut self, job: JobId) -> Result<Option<Sealed>, StoreError> {
        let mut query = self
            .0
            .prepare_cached("SELECT description FROM jobs WHERE id = ?1")?;
        let found = query.query_row([column(job)], |row| {
            row.get::<_, Option<Vec<u8>>>("description")
        });
        Ok(found.optional()?.flatten().map(Sealed::from_bytes))
    }
}

/// Returns an id as a column holds it.
fn column(job: JobId) -> i64 {
    // Ids have 60 bits.
    job.bits().cast_signed()
}

/// Returns the id that a column holds.
fn id(column: i64) -> JobId {
    JobId::from_bits(column.cast_unsigned())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
