//! Attempts that ran to their end, to learn from them how long jobs take.

use cluster_postgres::Session;

use super::fields::Fields;
use crate::{FinishedAttempt, StoreError};

/// Returns the attempts that ran to their end of the jobs that ended last, the first to start first.
pub(super) async fn latest(
    session: &Session,
    at_most: u32,
) -> Result<Vec<FinishedAttempt>, StoreError> {
    let query = "SELECT pool, client, hint, worker, started, ended
         FROM (SELECT id, pool, client, hint FROM jobs WHERE state > 1 ORDER BY since DESC LIMIT $1) AS jobs
         JOIN attempts ON attempts.job = jobs.id
         WHERE attempts.\"end\" IN ('succeeded', 'failed', 'timed-out') AND ended IS NOT NULL
         ORDER BY started";
    let rows = session.query(query, &[&i64::from(at_most)]).await?;
    let attempts = rows.iter().map(|row| {
        let row = Fields(row);
        Ok(FinishedAttempt {
            pool: row.text("pool")?,
            client: row.text("client")?,
            hint: row.text("hint")?,
            worker: row.text("worker")?,
            started: row.time("started")?,
            ended: row.time("ended")?,
        })
    });
    attempts.collect()
}
