//! The table `cached`: which worker has built which hint, and so has the results at hand.

use rusqlite::{Connection, params};

use super::UnixTime;

/// After how many days without use a row is dropped. By then the worker's own caches have long been
/// pruned, while a hint that looks cached is scheduled as if it were quick.
const EXPIRES_AFTER_DAYS: u32 = 180;

/// `worker` has built `hint`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CachedRow {
    /// The pool.
    pub pool: String,
    /// The cache hint; never empty.
    pub hint: String,
    /// The worker's name.
    pub worker: String,
}

pub(super) fn drop_expired(connection: &Connection, now: UnixTime) -> rusqlite::Result<()> {
    let dropped = connection.execute(
        "DELETE FROM cached WHERE created < date(?1, 'unixepoch', ?2)",
        params![now.0, format!("-{EXPIRES_AFTER_DAYS} days")],
    )?;
    if dropped > 0 {
        tracing::info!(
            target: "scheduler",
            "Dropped {dropped} cache hints that were unused for {EXPIRES_AFTER_DAYS} days"
        );
    }
    Ok(())
}

/// Reads all rows but those of the empty hint, which upstream writes and never uses.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<CachedRow>> {
    let mut query = connection.prepare(
        "SELECT pool, cache_hint, worker FROM cached
         WHERE cache_hint <> '' ORDER BY pool, cache_hint, worker",
    )?;
    let mut rows = query.query([])?;
    let mut cached = Vec::new();
    while let Some(row) = rows.next()? {
        let fields = (
            super::text(row, "pool")?,
            super::text(row, "cache_hint")?,
            super::text(row, "worker")?,
        );
        if let (Some(pool), Some(hint), Some(worker)) = fields {
            cached.push(CachedRow { pool, hint, worker });
        }
    }
    Ok(cached)
}

/// Adds a row, or makes it as new. Touches the disk only once a day for the same row.
pub(super) fn put(connection: &Connection, row: &CachedRow, now: UnixTime) -> rusqlite::Result<()> {
    let CachedRow { pool, hint, worker } = row;
    connection
        .prepare_cached(
            "INSERT INTO cached (pool, cache_hint, worker, created)
             VALUES (?1, ?2, ?3, date(?4, 'unixepoch'))
             ON CONFLICT (pool, cache_hint, worker)
             DO UPDATE SET created = excluded.created WHERE created <> excluded.created",
        )?
        .execute(params![pool, hint, worker, now.0])?;
    Ok(())
}

/// Removes a row.
pub(super) fn delete(connection: &Connection, row: &CachedRow) -> rusqlite::Result<()> {
    let CachedRow { pool, hint, worker } = row;
    connection
        .prepare_cached("DELETE FROM cached WHERE pool = ?1 AND cache_hint = ?2 AND worker = ?3")?
        .execute(params![pool, hint, worker])?;
    Ok(())
}

/// Removes all that a worker has cached.
pub(super) fn delete_worker(
    connection: &Connection,
    pool: &str,
    worker: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM cached WHERE pool = ?1 AND worker = ?2")?
        .execute(params![pool, worker])?;
    Ok(())
}
