//! The phases of attempts.

use cluster_postgres::{Session, Statement};
use jobs::AttemptId;

use super::fields::{Fields, text, values};
use crate::columns::{column, duration, micros};
use crate::{ChangedPhases, PhaseRecord, StoreError};

/// Saves phases in place of what was saved of them before, unless their job is not kept any more.
pub(super) async fn save(session: &Session, changed: &[ChangedPhases]) -> Result<(), StoreError> {
    let mut statements = Vec::new();
    for ChangedPhases { attempt, phases } in changed {
        let of_attempt = phases.iter().map(|phase| statement(*attempt, phase));
        statements.extend(of_attempt);
    }
    session.run_all(&statements).await?;
    Ok(())
}

fn statement(attempt: AttemptId, phase: &PhaseRecord) -> Statement {
    let PhaseRecord {
        number,
        kind,
        name,
        log_offset,
        started,
        ended,
        cached,
    } = phase;
    Statement::new(
        "INSERT INTO phases (job, attempt, number, kind, name, log_offset, started, ended, cached)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE EXISTS (SELECT FROM jobs WHERE id = $1)
         ON CONFLICT (job, attempt, number) DO UPDATE SET kind = excluded.kind, name = excluded.name,
             log_offset = excluded.log_offset, started = excluded.started, ended = excluded.ended,
             cached = excluded.cached",
        values![
            column(attempt.job),
            i64::from(attempt.number),
            i64::from(*number),
            text(kind),
            text(name),
            i64::try_from(*log_offset).unwrap_or(i64::MAX),
            micros(*started),
            ended.map(micros),
            *cached,
        ],
    )
}

/// Returns the phases of an attempt, in the order of their numbers.
pub(super) async fn load(
    session: &Session,
    attempt: AttemptId,
) -> Result<Vec<PhaseRecord>, StoreError> {
    let query = "SELECT * FROM phases WHERE job = $1 AND attempt = $2 ORDER BY number";
    let rows = session
        .query(query, &[&column(attempt.job), &i64::from(attempt.number)])
        .await?;
    rows.iter().map(|row| phase(Fields(row))).collect()
}

fn phase(row: Fields<'_>) -> Result<PhaseRecord, StoreError> {
    Ok(PhaseRecord {
        number: row.small("number")?,
        kind: row.text("kind")?,
        name: row.text("name")?,
        log_offset: row.number("log_offset")?.unsigned_abs(),
        started: duration(row.number("started")?),
        ended: row.optional_number("ended")?.map(duration),
        cached: row.flag("cached")?,
    })
}
