//! What is kept beside the jobs: the audit log, and which logs there are.

use cluster_postgres::{Session, Statement};
use jobs::AttemptId;
use pool::Time;

use super::fields::{Fields, text, values};
use crate::columns::{column, id};
use crate::{
    AuditEntry, AuditPage, AuditQuery, Entry, Expired, Expiry, KeptLog, LogStatus, StoreError,
    Totals,
};

/// The most entries of the audit log on a page.
const MAX_ENTRIES: u32 = 1_000;

pub(super) async fn append(session: &Session, entries: &[Entry]) -> Result<(), StoreError> {
    let statements: Vec<Statement> = entries.iter().map(statement).collect();
    session.run_all(&statements).await?;
    Ok(())
}

fn statement(entry: &Entry) -> Statement {
    match entry {
        Entry::Audit(entry) => audit_statement(entry),
        Entry::AuditFailed { time, error } => Statement::new(
            "UPDATE audit SET error = $2 WHERE time = $1",
            values![time.micros(), text(error)],
        ),
        Entry::Log(log) => log_statement(log),
    }
}

fn audit_statement(entry: &AuditEntry) -> Statement {
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
    Statement::new(
        "INSERT INTO audit (time, service, address, \"by\", action, pool, object, detail, error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (time) DO UPDATE SET service = excluded.service, address = excluded.address,
             \"by\" = excluded.\"by\", action = excluded.action, pool = excluded.pool, object = excluded.object,
             detail = excluded.detail, error = excluded.error",
        values![
            time.micros(),
            text(service),
            text(address),
            text(by),
            text(action),
            text(pool),
            text(object),
            text(detail),
            text(error),
        ],
    )
}

fn log_statement(log: &KeptLog) -> Statement {
    let KeptLog {
        attempt,
        since,
        bytes,
        length,
    } = log;
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    Statement::new(
        "INSERT INTO logs (job, number, since, bytes, length) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (job, number) DO UPDATE SET since = excluded.since, bytes = excluded.bytes,
             length = excluded.length",
        values![
            column(attempt.job),
            i64::from(attempt.number),
            since.micros(),
            number(*bytes),
            length.map(number),
        ],
    )
}

/// Removes what has expired, at most so many logs and entries. All logs take so many bytes.
pub(super) async fn expire(
    session: &Session,
    expiry: &Expiry,
    log_bytes: u64,
    at_most: u32,
) -> Result<Expired, StoreError> {
    let logs = expired_logs(session, expiry, log_bytes, at_most).await?;
    let jobs: Vec<i64> = logs.iter().map(|log| column(log.attempt.job)).collect();
    let numbers: Vec<i64> = logs
        .iter()
        .map(|log| i64::from(log.attempt.number))
        .collect();
    // The row stays until its job is removed: it says that there was a log.
    let wiped = "UPDATE logs SET bytes = NULL FROM unnest($1::bigint[], $2::bigint[]) AS expired (job, number)
         WHERE logs.job = expired.job AND logs.number = expired.number";
    session.execute(wiped, &[&jobs, &numbers]).await?;
    let phases =
        "DELETE FROM phases USING unnest($1::bigint[], $2::bigint[]) AS expired (job, number)
         WHERE phases.job = expired.job AND phases.attempt = expired.number";
    session.execute(phases, &[&jobs, &numbers]).await?;
    let audit = "DELETE FROM audit WHERE time IN (SELECT time FROM audit WHERE time < $1 ORDER BY time LIMIT $2)";
    let entries = session
        .execute(audit, &[&expiry.audit_before.micros(), &i64::from(at_most)])
        .await?;
    Ok(Expired {
        logs,
        entries: u32::try_from(entries).unwrap_or(u32::MAX),
    })
}

/// Returns the oldest logs of jobs that have ended, as many as have expired.
async fn expired_logs(
    session: &Session,
    expiry: &Expiry,
    log_bytes: u64,
    at_most: u32,
) -> Result<Vec<KeptLog>, StoreError> {
    let excess = log_bytes.saturating_sub(expiry.max_log_bytes);
    let oldest = "SELECT logs.job, logs.number, logs.since, logs.bytes, logs.length
         FROM logs JOIN jobs ON jobs.id = logs.job
         WHERE logs.bytes IS NOT NULL AND jobs.state > 1 ORDER BY logs.since LIMIT $1";
    let (mut found, mut freed) = (Vec::new(), 0);
    for row in session.query(oldest, &[&i64::from(at_most)]).await? {
        let log = kept_log(Fields(&row))?;
        if log.since >= expiry.logs_before && freed >= excess {
            break;
        }
        freed += log.bytes;
        found.push(log);
    }
    Ok(found)
}

fn kept_log(row: Fields<'_>) -> Result<KeptLog, StoreError> {
    Ok(KeptLog {
        attempt: AttemptId {
            job: id(row.number("job")?),
            number: row.small("number")?,
        },
        since: row.time("since")?,
        bytes: row.number("bytes")?.unsigned_abs(),
        length: row.optional_number("length")?.map(i64::unsigned_abs),
    })
}

pub(super) async fn totals(session: &Session) -> Result<Totals, StoreError> {
    // A process that was killed may have counted logs of attached jobs that it had not saved yet.
    let uncounted = "DELETE FROM logs WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.id = logs.job)";
    session.execute(uncounted, &[]).await?;
    let last = session
        .first("SELECT coalesce(max(time), 0) AS last FROM audit", &[])
        .await?;
    let last = last.map(|row| Fields(&row).time("last")).transpose()?;
    Ok(Totals {
        log_bytes: all_log_bytes(session).await?,
        last_audit: last.unwrap_or_default(),
    })
}

/// Returns what is known of the log of an attempt.
pub(super) async fn log_status(
    session: &Session,
    attempt: AttemptId,
) -> Result<LogStatus, StoreError> {
    let query = "SELECT bytes IS NULL AS removed FROM logs WHERE job = $1 AND number = $2";
    let found = session
        .first(query, &[&column(attempt.job), &i64::from(attempt.number)])
        .await?;
    Ok(
        match found.map(|row| Fields(&row).flag("removed")).transpose()? {
            None => LogStatus::Uncounted,
            Some(false) => LogStatus::Counted,
            Some(true) => LogStatus::Removed,
        },
    )
}

/// Returns how long the log of an attempt is, if that is known.
pub(super) async fn log_length(
    session: &Session,
    attempt: AttemptId,
) -> Result<Option<u64>, StoreError> {
    let query = "SELECT length FROM logs WHERE job = $1 AND number = $2";
    let found = session
        .first(query, &[&column(attempt.job), &i64::from(attempt.number)])
        .await?;
    let length = found.map(|row| Fields(&row).optional_number("length"));
    Ok(length.transpose()?.flatten().map(i64::unsigned_abs))
}

/// Returns how many bytes the logs take that these entries are about, as far as they are known.
pub(super) async fn kept_bytes(session: &Session, entries: &[Entry]) -> Result<u64, StoreError> {
    let logs = entries.iter().filter_map(|entry| match entry {
        Entry::Log(log) => Some((column(log.attempt.job), i64::from(log.attempt.number))),
        Entry::Audit(_) | Entry::AuditFailed { .. } => None,
    });
    let (jobs, numbers): (Vec<i64>, Vec<i64>) = logs.unzip();
    if jobs.is_empty() {
        return Ok(0);
    }
    let sum = "SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM logs WHERE (job, number) IN (
             SELECT * FROM unnest($1::bigint[], $2::bigint[]))";
    let sum = session.first(sum, &[&jobs, &numbers]).await?;
    let sum = sum.map(|row| Fields(&row).number("bytes")).transpose()?;
    Ok(sum.unwrap_or(0).unsigned_abs())
}

/// Returns how many bytes all logs take. It goes through all of them.
pub(super) async fn all_log_bytes(session: &Session) -> Result<u64, StoreError> {
    let sum = "SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM logs";
    let sum = session.first(sum, &[]).await?;
    let sum = sum.map(|row| Fields(&row).number("bytes")).transpose()?;
    Ok(sum.unwrap_or(0).unsigned_abs())
}

pub(super) async fn audit(session: &Session, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    let AuditQuery {
        since,
        before,
        at_most,
    } = query;
    let at_most = (*at_most).clamp(1, MAX_ENTRIES);
    let since = since.map_or(i64::MIN, Time::micros);
    let before = before.map_or(i64::MAX, Time::micros);
    let entries = "SELECT * FROM audit WHERE time >= $1 AND time < $2 ORDER BY time DESC LIMIT $3";
    let entries = session
        .query(entries, &[&since, &before, &i64::from(at_most)])
        .await?;
    let entries = entries.iter().map(|row| audit_entry(Fields(row)));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let is_full = entries.len() == at_most as usize;
    let last = entries.last().filter(|_| is_full);
    Ok(AuditPage {
        next: last.map(|entry| entry.time),
        entries,
    })
}

fn audit_entry(row: Fields<'_>) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        time: row.time("time")?,
        service: row.text("service")?,
        address: row.text("address")?,
        by: row.text("by")?,
        action: row.text("action")?,
        pool: row.text("pool")?,
        object: row.text("object")?,
        detail: row.text("detail")?,
        error: row.text("error")?,
    })
}
