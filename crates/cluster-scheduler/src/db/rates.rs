//! The table `pool_user_rate`: clients' shares of a pool.

use rusqlite::{Connection, params};

/// A client's share of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct RateRow {
    /// The pool.
    pub pool: String,
    /// The client's name.
    pub client: String,
    /// Its rate as saved. Upstream also saves infinity.
    pub rate: f64,
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<RateRow>> {
    let mut query = connection.prepare(
        "SELECT pool, user, CAST(rate AS REAL) AS rate FROM pool_user_rate ORDER BY pool, user",
    )?;
    let mut rows = query.query([])?;
    let mut rates = Vec::new();
    while let Some(row) = rows.next()? {
        let rate = row.get("rate")?;
        if let (Some(pool), Some(client)) = (super::text(row, "pool")?, super::text(row, "user")?) {
            rates.push(RateRow { pool, client, rate });
        }
    }
    Ok(rates)
}

pub(super) fn put(connection: &Connection, row: &RateRow) -> rusqlite::Result<()> {
    let RateRow { pool, client, rate } = row;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO pool_user_rate (pool, user, rate) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![pool, client, rate])?;
    Ok(())
}

/// Removes a client's rates in all pools.
pub(super) fn delete_client(connection: &Connection, client: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM pool_user_rate WHERE user = ?1")?
        .execute(params![client])?;
    Ok(())
}
