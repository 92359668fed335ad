//! What is kept beside the jobs: the audit log, and which logs there are.

use jobs::AttemptId;
use pool::Time;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::phases;
use crate::columns::{column, id};
use crate::{
    AuditEntry, AuditPage, AuditQuery, Entry, Expired, Expiry, KeptLog, LogStatus, StoreError,
    Totals,
};

/// The most entries of the audit log on a page.
const MAX_ENTRIES: u32 = 1_000;

pub(super) fn append(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    match entry {
        Entry::Audit(entry) => append_audit(connection, entry),
        Entry::AuditFailed { time, error } => {
            let mut update =
                connection.prepare_cached("UPDATE audit SET error = ?2 WHERE time = ?1")?;
            update.execute(params![time.micros(), error]).map(drop)
        }
        Entry::Log(KeptLog {
            attempt,
            since,
            bytes,
            length,
        }) => {
            let mut insert = connection.prepare_cached(
                "INSERT OR REPLACE INTO logs (job, number, since, bytes, length) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
            let values = params![
                column(attempt.job),
                attempt.number,
                since.micros(),
                number(*bytes),
                length.map(number),
            ];
            insert.execute(values).map(drop)
        }
    }
}

fn append_audit(connection: &Connection, entry: &AuditEntry) -> rusqlite::Result<()> {
    let AuditEntry {
        time,
        service,
        address,
        by,
        action,
        pool,
        object,
        detail,
        error,
    } = entry;
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO audit (time, service, address, by, action, pool, object, detail, error)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let time = time.micros();
    insert
        .execute(params![
            time, service, address, by, action, pool, object, detail, error
        ])
        .map(drop)
}

/// Removes what has expired, at most so many logs and entries. All logs take so many bytes.
pub(super) fn expire(
    connection: &Connection,
    expiry: &Expiry,
    log_bytes: u64,
    at_most: u32,
) -> rusqlite::Result<Expired> {
    let logs = expired_logs(connection, expiry, log_bytes, at_most)?;
    // The row stays until its job is removed: it says that there was a log.
    let mut remove =
        connection.prepare_cached("UPDATE logs SET bytes = NULL WHERE job = ?1 AND number = ?2")?;
    for KeptLog { attempt, .. } in &logs {
        remove.execute(params![column(attempt.job), attempt.number])?;
        phases::remove(connection, *attempt)?;
    }
    let mut remove = connection.prepare_cached(
        "DELETE FROM audit WHERE time IN (SELECT time FROM audit WHERE time < ?1 ORDER BY time LIMIT ?2)",
    )?;
    let entries = remove.execute(params![expiry.audit_before.micros(), at_most])?;
    Ok(Expired {
        logs,
        entries: u32::try_from(entries).unwrap_or(u32::MAX),
    })
}

/// Returns the oldest logs of jobs that have ended, as many as have expired.
fn expired_logs(
    connection: &Connection,
    expiry: &Expiry,
    log_bytes: u64,
    at_most: u32,
) -> rusqlite::Result<Vec<KeptLog>> {
    let excess = log_bytes.saturating_sub(expiry.max_log_bytes);
    let mut oldest = connection.prepare_cached(
        "SELECT logs.job, logs.number, logs.since, logs.bytes, logs.length FROM logs JOIN jobs ON jobs.id = logs.job
         WHERE logs.bytes IS NOT NULL AND jobs.state > 1 ORDER BY logs.since LIMIT ?1",
    )?;
    let mut rows = oldest.query([at_most])?;
    let (mut found, mut freed) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let log = kept_log(row)?;
        if log.since >= expiry.logs_before && freed >= excess {
            break;
        }
        freed += log.bytes;
        found.push(log);
    }
    Ok(found)
}

fn kept_log(row: &Row<'_>) -> rusqlite::Result<KeptLog> {
    Ok(KeptLog {
        attempt: AttemptId {
            job: id(row.get(0)?),
            number: row.get(1)?,
        },
        since: Time::from_micros(row.get(2)?),
        bytes: row.get::<_, i64>(3)?.unsigned_abs(),
        length: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
    })
}

/// Removes the rows of the logs of a job, and returns how many bytes its logs take.
pub(super) fn remove_logs(connection: &Connection, job: i64) -> rusqlite::Result<u64> {
    let mut sum =
        connection.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM logs WHERE job = ?1")?;
    let bytes: i64 = sum.query_row([job], |row| row.get(0))?;
    let mut remove = connection.prepare_cached("DELETE FROM logs WHERE job = ?1")?;
    remove.execute([job])?;
    Ok(bytes.unsigned_abs())
}

pub(super) fn totals(connection: &Connection) -> rusqlite::Result<Totals> {
    // A process that was killed may have counted logs of attached jobs that it had not saved yet.
    connection.execute(
        "DELETE FROM logs WHERE job NOT IN (SELECT id FROM jobs)",
        [],
    )?;
    let last = "SELECT coalesce(max(time), 0) FROM audit";
    Ok(Totals {
        log_bytes: all_log_bytes(connection)?,
        last_audit: Time::from_micros(connection.query_row(last, [], |row| row.get(0))?),
    })
}

/// Returns what is known of the log of an attempt.
pub(super) fn log_status(
    connection: &Connection,
    attempt: AttemptId,
) -> rusqlite::Result<LogStatus> {
    let mut query = connection
        .prepare_cached("SELECT bytes IS NULL FROM logs WHERE job = ?1 AND number = ?2")?;
    let found = query.query_row(params![column(attempt.job), attempt.number], |row| {
        row.get(0)
    });
    Ok(match found.optional()? {
        None => LogStatus::Uncounted,
        Some(false) => LogStatus::Counted,
        Some(true) => LogStatus::Removed,
    })
}

/// Returns how long the log of an attempt is, if that is known.
pub(super) fn log_length(
    connection: &Connection,
    attempt: AttemptId,
) -> rusqlite::Result<Option<u64>> {
    let mut query =
        connection.prepare_cached("SELECT length FROM logs WHERE job = ?1 AND number = ?2")?;
    let found = query.query_row(params![column(attempt.job), attempt.number], |row| {
        row.get::<_, Option<i64>>(0)
    });
    Ok(found.optional()?.flatten().map(i64::unsigned_abs))
}

/// Returns how many bytes the log of an attempt takes; 0 if it is not known.
pub(super) fn log_bytes(connection: &Connection, attempt: AttemptId) -> rusqlite::Result<u64> {
    let mut query =
        connection.prepare_cached("SELECT bytes FROM logs WHERE job = ?1 AND number = ?2")?;
    let found = query.query_row(params![column(attempt.job), attempt.number], |row| {
        row.get::<_, Option<i64>>(0)
    });
    Ok(found.optional()?.flatten().unwrap_or(0).unsigned_abs())
}

/// Returns how many bytes all logs take. It goes through all of them.
pub(super) fn all_log_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let sum = "SELECT coalesce(sum(bytes), 0) FROM logs";
    let bytes: i64 = connection.query_row(sum, [], |row| row.get(0))?;
    Ok(bytes.unsigned_abs())
}

pub(super) fn audit(connection: &Connection, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let AuditQuery {
        since,
        before,
        at_most,
    } = query;
    let at_most = (*at_most).clamp(1, MAX_ENTRIES);
    let mut statement = connection.prepare_cached(
        "SELECT * FROM audit WHERE time >= ?1 AND time < ?2 ORDER BY time DESC LIMIT ?3",
    )?;
    let since = since.map_or(i64::MIN, Time::micros);
    let before = before.map_or(i64::MAX, Time::micros);
    let entries = statement.query_map(params![since, before, at_most], audit_entry)?;
    let entries = entries.collect::<rusqlite::Result<Vec<_>>>()?;
    let is_full = entries.len() == at_most as usize;
    Ok(AuditPage {
        next: entries
            .last()
            .filter(|_| is_full)
            .map(|entry: &AuditEntry| entry.time),
        entries,
    })
}

fn audit_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        time: Time::from_micros(row.get("time")?),
        service: row.get("service")?,
        address: row.get("address")?,
        by: row.get("by")?,
        action: row.get("action")?,
        pool: row.get("pool")?,
        object: row.get("object")?,
        detail: row.get("detail")?,
        error: row.get("error")?,
    })
}
