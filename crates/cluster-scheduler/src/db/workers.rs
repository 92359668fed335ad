//! The table `workers`: every worker ever seen, and whether an operator paused it.

use rusqlite::{Connection, params};

/// A worker that has registered once, or was created by an operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerRow {
    /// The pool.
    pub pool: String,
    /// The worker's name.
    pub worker: String,
    /// Whether it is paused by an operator.
    pub paused: bool,
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<WorkerRow>> {
    let mut query = connection.prepare(
        "SELECT pool, id, coalesce(paused, 0) <> 0 AS paused FROM workers ORDER BY pool, id",
    )?;
    let mut rows = query.query([])?;
    let mut workers = Vec::new();
    while let Some(row) = rows.next()? {
        let paused = row.get("paused")?;
        if let (Some(pool), Some(worker)) = (super::text(row, "pool")?, super::text(row, "id")?) {
            workers.push(WorkerRow {
                pool,
                worker,
                paused,
            });
        }
    }
    Ok(workers)
}

/// Adds a worker, or sets whether it is paused.
pub(super) fn put(connection: &Connection, row: &WorkerRow) -> rusqlite::Result<()> {
    let WorkerRow {
        pool,
        worker,
        paused,
    } = row;
    connection
        .prepare_cached(
            "INSERT INTO workers (pool, id, paused) VALUES (?1, ?2, ?3)
             ON CONFLICT (pool, id) DO UPDATE SET paused = excluded.paused",
        )?
        .execute(params![pool, worker, i64::from(*paused)])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, pool: &str, worker: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM workers WHERE pool = ?1 AND id = ?2")?
        .execute(params![pool, worker])?;
    Ok(())
}
