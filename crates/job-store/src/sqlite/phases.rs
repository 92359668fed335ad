//! The phases of attempts.

use jobs::AttemptId;
use rusqlite::{Connection, Row, params};

use crate::columns::{column, duration, micros};
use crate::{ChangedPhases, PhaseRecord, StoreError};

/// Saves phases in place of what was saved of them before, unless their job is not kept any more.
pub(super) fn save(connection: &Connection, changed: &ChangedPhases) -> rusqlite::Result<()> {
    let ChangedPhases { attempt, phases } = changed;
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO phases (job, attempt, number, kind, name, log_offset, started, ended, cached)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1)",
    )?;
    for phase in phases {
        let PhaseRecord {
            number,
            kind,
            name,
            log_offset,
            started,
            ended,
            cached,
        } = phase;
        insert.execute(params![
            column(attempt.job),
            attempt.number,
            number,
            kind,
            name,
            i64::try_from(*log_offset).unwrap_or(i64::MAX),
            micros(*started),
            ended.map(micros),
            cached
        ])?;
    }
    Ok(())
}

/// Returns the phases of an attempt, in the order of their numbers.
pub(super) fn load(
    connection: &Connection,
    attempt: AttemptId,
) -> Result<Vec<PhaseRecord>, StoreError> {
    let mut query = connection
        .prepare_cached("SELECT * FROM phases WHERE job = ?1 AND attempt = ?2 ORDER BY number")?;
    let phases = query.query_map(params![column(attempt.job), attempt.number], phase)?;
    Ok(phases.collect::<rusqlite::Result<_>>()?)
}

fn phase(row: &Row<'_>) -> rusqlite::Result<PhaseRecord> {
    Ok(PhaseRecord {
        number: row.get("number")?,
        kind: row.get("kind")?,
        name: row.get("name")?,
        log_offset: row.get::<_, i64>("log_offset")?.unsigned_abs(),
        started: duration(row.get("started")?),
        ended: row.get::<_, Option<i64>>("ended")?.map(duration),
        cached: row.get("cached")?,
    })
}

/// Removes the phases of an attempt, whose log was removed.
pub(super) fn remove(connection: &Connection, attempt: AttemptId) -> rusqlite::Result<()> {
    let mut remove =
        connection.prepare_cached("DELETE FROM phases WHERE job = ?1 AND attempt = ?2")?;
    remove
        .execute(params![column(attempt.job), attempt.number])
        .map(drop)
}

/// Removes the phases of a job, which was removed.
pub(super) fn remove_all(connection: &Connection, job: i64) -> rusqlite::Result<()> {
    let mut remove = connection.prepare_cached("DELETE FROM phases WHERE job = ?1")?;
    remove.execute([job]).map(drop)
}
