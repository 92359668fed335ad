//! The table `pauses`: who paused a worker, when and why. Upstream's scheduler does not know it: which workers are
//! paused is in its table `workers`, and a row here counts only for those.

use rusqlite::{Connection, params};

use super::UnixTime;

/// An operator's pause that lasts until it is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseRow {
    /// The pool.
    pub pool: String,
    /// The worker's name.
    pub worker: String,
    /// When it was paused.
    pub since: UnixTime,
    /// Who paused it, as the operator's program reported; empty if it reported no name.
    pub by: String,
    /// Why; empty when nothing was given.
    pub note: String,
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<PauseRow>> {
    let mut query = connection
        .prepare("SELECT pool, id, since, paused_by, note FROM pauses ORDER BY pool, id")?;
    let mut rows = query.query([])?;
    let mut pauses = Vec::new();
    while let Some(row) = rows.next()? {
        let since = UnixTime(row.get("since")?);
        let text = |column| super::text(row, column);
        let (pool, worker) = (text("pool")?, text("id")?);
        let (by, note) = (text("paused_by")?, text("note")?);
        if let (Some(pool), Some(worker), Some(by), Some(note)) = (pool, worker, by, note) {
            pauses.push(PauseRow {
                pool,
                worker,
                since,
                by,
                note,
            });
        }
    }
    Ok(pauses)
}

/// Adds a pause, or replaces the one that there was.
pub(super) fn put(connection: &Connection, row: &PauseRow) -> rusqlite::Result<()> {
    let PauseRow {
        pool,
        worker,
        since,
        by,
        note,
    } = row;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO pauses (pool, id, since, paused_by, note) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![pool, worker, since.0, by, note])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, pool: &str, worker: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM pauses WHERE pool = ?1 AND id = ?2")?
        .execute(params![pool, worker])?;
    Ok(())
}
