//! A store in PostgreSQL.
//!
//! The writer sends the statements of a commit together, and many submissions as one statement. What makes a commit
//! happen once, and only under the lease, is in [`cluster_postgres`].

mod attached;
mod beside;
mod fields;
mod finished;
mod load;
mod page;
mod phases;
mod save;
mod schema;

use std::ops::RangeInclusive;

use cluster_postgres::{Batches, Lease, Part, Reads, Session, Settings, Settled};
use jobs::{AttemptId, Change, JobId, JobKey, Saved};
use pool::{ClientId, Time};

use self::fields::Fields;
use crate::columns::{column, id};
use crate::{
    AttachedRecord, AuditPage, AuditQuery, ChangedPhases, Entry, Expired, Expiry, FinishedAttempt,
    LogStatus, OpenError, Page, PhaseRecord, Pruned, Query, Reader, Record, Sealed, StoreError,
    Submitted, Totals, Write, Writer,
};

/// The tables of the store, for [`cluster_postgres::prepare`].
pub const TABLES: Part = schema::JOBS;

/// Opens a database whose [tables](TABLES) are prepared.
///
/// # Errors
///
/// [`OpenError`] when it cannot be used.
pub fn open(
    settings: &Settings,
    lease: Lease,
) -> Result<(PostgresWriter, PostgresReader), OpenError> {
    let mut reader = open_reader(settings)?;
    let writer = PostgresWriter {
        batches: Batches::open(settings, lease, "jobs")?,
        next: reader.read(next_place)?,
        log_bytes: None,
        failed: Vec::new(),
        refused: Vec::new(),
    };
    Ok((writer, reader))
}

/// Opens another reader.
///
/// # Errors
///
/// [`OpenError`] when the database cannot be used.
pub fn open_reader(settings: &Settings) -> Result<PostgresReader, OpenError> {
    Ok(PostgresReader(Reads::open(settings)?))
}

/// Returns the place of the next submission.
async fn next_place(session: &Session) -> Result<i64, StoreError> {
    let last = "SELECT coalesce(max(seq), 0) AS last FROM jobs";
    let last = session.first(last, &[]).await?;
    let last = last.map(|row| Fields(&row).number("last")).transpose()?;
    Ok(last.unwrap_or(0) + 1)
}

/// The half of the database that saves.
#[derive(Debug)]
pub struct PostgresWriter {
    batches: Batches,
    /// The place of the next submission. No other process adds any.
    next: i64,
    /// How much of the disk all logs take that are whole, in bytes; `None` while that is not known.
    log_bytes: Option<u64>,
    /// The jobs that were submitted with the batch that failed last, which may have been saved.
    failed: Vec<i64>,
    /// Those that were saved though their clients were told that they were not.
    refused: Vec<i64>,
}

/// The half of the database that reads.
#[derive(Debug)]
pub struct PostgresReader(Reads);

impl PostgresReader {
    fn read<T>(
        &mut self,
        read: impl AsyncFn(&Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.0.read(read, StoreError::is_away)
    }
}

impl PostgresWriter {
    /// Saves what `work` does. Before that, what became of a batch that failed is found out: if it was saved, the jobs
    /// that were refused for it are removed. Its other changes are saved again, and do no harm twice.
    fn save<T>(
        &mut self,
        work: impl AsyncFn(&Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.batches.is_in_doubt() {
            match self.batches.settle(StoreError::of_postgres)? {
                Settled::Saved => self.refused.append(&mut self.failed),
                Settled::NotSaved => {}
            }
        }
        self.failed.clear();
        if !self.refused.is_empty() {
            let refused = self.refused.clone();
            let remove = async |session: &Session| save::remove(session, &refused).await;
            self.batches.save(remove, StoreError::of_postgres)?;
            self.refused.clear();
        }
        self.batches.save(work, StoreError::of_postgres)
    }

    /// Logs were removed that took so many bytes.
    fn logs_removed(&mut self, bytes: u64) {
        self.log_bytes = self.log_bytes.map(|before| before.saturating_sub(bytes));
    }
}

impl Writer for PostgresWriter {
    fn restore(&mut self) -> Result<Vec<Saved>, StoreError> {
        self.save(load::unfinished)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let next = self.next;
        match self.save(async |session| save::save(session, writes, next).await) {
            Ok(next) => {
                self.next = next;
                Ok(())
            }
            Err(error) => {
                let submitted = |write: &Write| match &write.change {
                    Change::Submitted { new, .. } => Some(column(new.id)),
                    _ => None,
                };
                self.failed = writes.iter().filter_map(submitted).collect();
                Err(error)
            }
        }
    }

    fn save_attached(&mut self, records: &[AttachedRecord]) -> Result<(), StoreError> {
        let next = self.next;
        self.next = self.save(async |session| attached::save(session, records, next).await)?;
        Ok(())
    }

    fn end_attached(&mut self, at: Time) -> Result<usize, StoreError> {
        self.save(async |session| attached::end_all(session, at).await)
    }

    fn prune(&mut self, ended_before: Time, at_most: u32) -> Result<Vec<Pruned>, StoreError> {
        let pruned =
            self.save(async |session| save::prune(session, ended_before, at_most).await)?;
        self.logs_removed(pruned.iter().map(|job| job.log_bytes).sum());
        Ok(pruned)
    }

    fn wipe(&mut self, ended_before: Time, at_most: u32) -> Result<usize, StoreError> {
        self.save(async |session| save::wipe(session, ended_before, at_most).await)
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        let totals = self.save(beside::totals)?;
        self.log_bytes = Some(totals.log_bytes);
        Ok(totals)
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let has_logs = entries.iter().any(|entry| matches!(entry, Entry::Log(_)));
        let before = self.log_bytes.take_if(|_| has_logs);
        let added = self.save(async |session| {
            let replaced = beside::kept_bytes(session, entries).await?;
            beside::append(session, entries).await?;
            Ok((beside::kept_bytes(session, entries).await?, replaced))
        });
        let (added, replaced) = added?;
        if let Some(before) = before {
            self.log_bytes = Some(before.saturating_add(added).saturating_sub(replaced));
        }
        Ok(())
    }

    fn save_phases(&mut self, changed: &[ChangedPhases]) -> Result<(), StoreError> {
        self.save(async |session| phases::save(session, changed).await)
    }

    fn expire(&mut self, expiry: &Expiry, at_most: u32) -> Result<Expired, StoreError> {
        let known = self.log_bytes;
        let (expired, log_bytes) = self.save(async |session| {
            let log_bytes = match known {
                Some(known) => known,
                None => beside::all_log_bytes(session).await?,
            };
            let expired = beside::expire(session, expiry, log_bytes, at_most).await?;
            Ok((expired, log_bytes))
        })?;
        self.log_bytes = Some(log_bytes);
        self.logs_removed(expired.logs.iter().map(|log| log.bytes).sum());
        Ok(expired)
    }
}

impl Reader for PostgresReader {
    fn finished(&mut self, at_most: u32) -> Result<Vec<FinishedAttempt>, StoreError> {
        self.read(async |session| finished::latest(session, at_most).await)
    }

    fn with_key(&mut self, client: &ClientId, key: &JobKey) -> Result<Option<JobId>, StoreError> {
        let (client, key) = (client.as_str(), fields::text(key.as_str()));
        self.read(async |session| {
            let query = "SELECT id FROM jobs WHERE client = $1 AND key = $2";
            let found = session.first(query, &[&client, &key]).await?;
            found
                .map(|row| Fields(&row).number("id").map(id))
                .transpose()
        })
    }

    fn in_range(
        &mut self,
        client: &ClientId,
        ids: RangeInclusive<JobId>,
        at_most: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        let (first, last) = (column(*ids.start()), column(*ids.end()));
        let (client, at_most) = (client.as_str(), i64::from(at_most));
        self.read(async |session| {
            let query = "SELECT id FROM jobs WHERE id BETWEEN $1 AND $2 AND client = $3 ORDER BY id LIMIT $4";
            let rows = session.query(query, &[&first, &last, &client, &at_most]).await?;
            rows.iter().map(|row| Fields(row).number("id").map(id)).collect()
        })
    }

    fn is_kept(&mut self, job: JobId) -> Result<bool, StoreError> {
        self.read(async |session| {
            let found = session
                .first("SELECT 1 FROM jobs WHERE id = $1", &[&column(job)])
                .await?;
            Ok(found.is_some())
        })
    }

    fn all_in_range(
        &mut self,
        ids: RangeInclusive<JobId>,
        at_most: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        let (first, last) = (column(*ids.start()), column(*ids.end()));
        let at_most = i64::from(at_most);
        self.read(async |session| {
            let query = "SELECT id FROM jobs WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3";
            let rows = session.query(query, &[&first, &last, &at_most]).await?;
            rows.iter()
                .map(|row| Fields(row).number("id").map(id))
                .collect()
        })
    }

    fn audit(&mut self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        self.read(async |session| beside::audit(session, query).await)
    }

    fn log_status(&mut self, attempt: AttemptId) -> Result<LogStatus, StoreError> {
        self.read(async |session| beside::log_status(session, attempt).await)
    }

    fn log_length(&mut self, attempt: AttemptId) -> Result<Option<u64>, StoreError> {
        self.read(async |session| beside::log_length(session, attempt).await)
    }

    fn phases(&mut self, attempt: AttemptId) -> Result<Vec<PhaseRecord>, StoreError> {
        self.read(async |session| phases::load(session, attempt).await)
    }

    fn record(&mut self, job: JobId) -> Result<Option<Record>, StoreError> {
        self.read(async |session| load::record(session, job).await)
    }

    fn page(&mut self, query: &Query) -> Result<Page, StoreError> {
        self.read(async |session| page::page(session, query).await)
    }

    fn submitted(&mut self, job: JobId) -> Result<Option<Submitted>, StoreError> {
        self.read(async |session| load::submitted(session, job).await)
    }

    fn description(&mut self, job: JobId) -> Result<Option<Sealed>, StoreError> {
        self.read(async |session| {
            let query = "SELECT description FROM jobs WHERE id = $1";
            let found = session.first(query, &[&column(job)]).await?;
            let found = found
                .map(|row| Fields(&row).optional_bytes("description"))
                .transpose()?;
            Ok(found.flatten().map(Sealed::from_bytes))
        })
    }

    fn description_sizes(&mut self) -> Result<Vec<(JobId, usize)>, StoreError> {
        self.read(async |session| {
            let query =
                "SELECT id, coalesce(octet_length(description), 0)::bigint AS size FROM jobs
                 WHERE state < 2 AND NOT attached";
            let rows = session.query(query, &[]).await?;
            let sizes = rows.iter().map(|row| {
                let row = Fields(row);
                Ok((id(row.number("id")?), row.small("size")?))
            });
            sizes.collect()
        })
    }
}
