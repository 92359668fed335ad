//! Attempts that ran to their end, to learn from them how long jobs take.

use pool::Time;
use rusqlite::{Connection, params};

use crate::{FinishedAttempt, StoreError};

/// Returns the attempts that ran to their end of the jobs that ended last, the first to start first.
pub(super) fn latest(
    connection: &Connection,
    at_most: u32,
) -> Result<Vec<FinishedAttempt>, StoreError> {
    let mut query = connection.prepare(
        "SELECT pool, client, hint, worker, started, ended
         FROM (SELECT * FROM jobs WHERE state > 1 ORDER BY since DESC LIMIT ?1) AS jobs
         JOIN attempts ON attempts.job = jobs.id
         WHERE attempts.end IN ('succeeded', 'failed', 'timed-out') AND ended IS NOT NULL
         ORDER BY started",
    )?;
    let attempts = query.query_map(params![at_most], |row| {
        Ok(FinishedAttempt {
            pool: row.get("pool")?,
            client: row.get("client")?,
            hint: row.get("hint")?,
            worker: row.get("worker")?,
            started: Time::from_micros(row.get("started")?),
            ended: Time::from_micros(row.get("ended")?),
        })
    })?;
    Ok(attempts.collect::<Result<_, _>>()?)
}
