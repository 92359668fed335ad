//! A store in one SQLite file.
//!
//! In WAL mode: readers see what is committed while more is saved, and neither waits for the other. Each commit is
//! synced.

mod attached;
mod beside;
mod finished;
mod load;
mod page;
mod phases;
mod save;
mod schema;

use std::ops::RangeInclusive;
use std::path::Path;

use jobs::{AttemptId, JobId, JobKey, Saved};
use pool::{ClientId, Time};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::columns::{column, id};
use crate::{
    AttachedRecord, AuditPage, AuditQuery, ChangedPhases, Entry, Expired, Expiry, FinishedAttempt,
    LogStatus, OpenError, Page, PhaseRecord, Pruned, Query, Reader, Record, Sealed, StoreError,
    Submitted, Totals, Write, Writer,
};

/// Opens (or makes) the file, and brings it up to date.
///
/// # Errors
///
/// [`OpenError`] when it cannot be used. Nothing has been written to it then.
pub fn open(path: &Path) -> Result<(SqliteWriter, SqliteReader), OpenError> {
    let writer = SqliteWriter {
        connection: schema::open(path)?,
        log_bytes: None,
    };
    Ok((writer, open_reader(path)?))
}

/// Opens another reader of a file that is open.
///
/// # Errors
///
/// [`OpenError`] when it cannot be read.
pub fn open_reader(path: &Path) -> Result<SqliteReader, OpenError> {
    Ok(SqliteReader(schema::open_for_reading(path)?))
}

/// The half of the file that saves.
#[derive(Debug)]
pub struct SqliteWriter {
    connection: Connection,
    /// How much of the disk all logs take that are whole, in bytes; `None` until that is asked for.
    log_bytes: Option<u64>,
}

/// The half of the file that reads.
#[derive(Debug)]
pub struct SqliteReader(Connection);

impl Writer for SqliteWriter {
    fn restore(&mut self) -> Result<Vec<Saved>, StoreError> {
        load::unfinished(&self.connection)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for write in writes {
            save::save(&transaction, write)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn save_attached(&mut self, records: &[AttachedRecord]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for record in records {
            attached::save(&transaction, record)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn end_attached(&mut self, at: Time) -> Result<usize, StoreError> {
        let transaction = self.connection.transaction()?;
        let ended = attached::end_all(&transaction, at)?;
        transaction.commit()?;
        Ok(ended)
    }

    fn prune(&mut self, ended_before: Time, at_most: u32) -> Result<Vec<Pruned>, StoreError> {
        let transaction = self.connection.transaction()?;
        let pruned = save::prune(&transaction, ended_before, at_most)?;
        transaction.commit()?;
        self.logs_removed(pruned.iter().map(|job| job.log_bytes).sum());
        Ok(pruned)
    }

    fn wipe(&mut self, ended_before: Time, at_most: u32) -> Result<usize, StoreError> {
        save::wipe(&self.connection, ended_before, at_most)
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        let totals = beside::totals(&self.connection)?;
        self.log_bytes = Some(totals.log_bytes);
        Ok(totals)
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        let (mut added, mut replaced) = (0, 0);
        for entry in entries {
            if let Entry::Log(log) = entry {
                replaced += beside::log_bytes(&transaction, log.attempt)?;
                added += log.bytes;
            }
            beside::append(&transaction, entry)?;
        }
        transaction.commit()?;
        self.log_bytes = self.log_bytes.map(|before| before.saturating_add(added));
        self.logs_removed(replaced);
        Ok(())
    }

    fn save_phases(&mut self, changed: &[ChangedPhases]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for changed in changed {
            phases::save(&transaction, changed)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn expire(&mut self, expiry: &Expiry, at_most: u32) -> Result<Expired, StoreError> {
        let transaction = self.connection.transaction()?;
        let log_bytes = match self.log_bytes {
            Some(known) => known,
            None => beside::all_log_bytes(&transaction)?,
        };
        let expired = beside::expire(&transaction, expiry, log_bytes, at_most)?;
        transaction.commit()?;
        self.log_bytes = Some(log_bytes);
        self.logs_removed(expired.logs.iter().map(|log| log.bytes).sum());
        Ok(expired)
    }
}

impl SqliteWriter {
    /// Logs were removed that took so many bytes.
    fn logs_removed(&mut self, bytes: u64) {
        self.log_bytes = self.log_bytes.map(|before| before.saturating_sub(bytes));
    }
}

impl Reader for SqliteReader {
    fn finished(&mut self, at_most: u32) -> Result<Vec<FinishedAttempt>, StoreError> {
        finished::latest(&self.0, at_most)
    }

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

    fn is_kept(&mut self, job: JobId) -> Result<bool, StoreError> {
        let mut query = self.0.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?;
        Ok(query.exists([column(job)])?)
    }

    fn all_in_range(
        &mut self,
        ids: RangeInclusive<JobId>,
        at_most: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut query = self.0.prepare_cached(
            "SELECT id FROM jobs WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
        )?;
        let range = (column(*ids.start()), column(*ids.end()));
        let found = query.query_map(params![range.0, range.1, at_most], |row| {
            row.get("id").map(id)
        })?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    fn audit(&mut self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        beside::audit(&self.0, query)
    }

    fn log_status(&mut self, attempt: AttemptId) -> Result<LogStatus, StoreError> {
        Ok(beside::log_status(&self.0, attempt)?)
    }

    fn log_length(&mut self, attempt: AttemptId) -> Result<Option<u64>, StoreError> {
        Ok(beside::log_length(&self.0, attempt)?)
    }

    fn phases(&mut self, attempt: AttemptId) -> Result<Vec<PhaseRecord>, StoreError> {
        phases::load(&self.0, attempt)
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

    fn description_sizes(&mut self) -> Result<Vec<(JobId, usize)>, StoreError> {
        // SQLite does not read a value to know its length.
        let mut query = self.0.prepare(
            "SELECT id, coalesce(length(description), 0) AS size FROM jobs WHERE state < 2 AND attached = 0",
        )?;
        let found = query.query_map([], |row| Ok((row.get("id").map(id)?, row.get("size")?)))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}
