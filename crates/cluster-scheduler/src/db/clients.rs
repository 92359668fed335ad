//! The table `sturdy_refs`: who may submit.
//!
//! Only the digest of a client's secret is kept, so a stolen database gives no access, and a lost
//! secret cannot be found again.

use rusqlite::{Connection, params};

use super::UnixTime;

/// The `type` of the rows that are clients' submission endpoints.
pub const CLIENT_TYPE: &str = "ocluster-client";

/// A persistent service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SturdyRefRow {
    /// SHA-256 of the service id.
    pub digest: [u8; 32],
    /// Which kind of service: [`CLIENT_TYPE`], or something this program does not know.
    pub kind: String,
    /// For a client: its name.
    pub args: String,
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<SturdyRefRow>> {
    let mut query = connection.prepare("SELECT hash, type, args FROM sturdy_refs ORDER BY args")?;
    let mut rows = query.query([])?;
    let mut refs = Vec::new();
    while let Some(row) = rows.next()? {
        let Ok(digest) = row.get::<_, [u8; 32]>("hash") else {
            tracing::warn!(target: "scheduler", "Ignoring a sturdy ref in the database: its hash is not 32 bytes");
            continue;
        };
        let (Some(kind), Some(args)) = (super::text(row, "type")?, super::text(row, "args")?)
        else {
            continue;
        };
        refs.push(SturdyRefRow { digest, kind, args });
    }
    Ok(refs)
}

/// Adds a client, or gives one that exists a new secret in place of its old one.
pub(super) fn put(
    connection: &Connection,
    client: &str,
    digest: &[u8; 32],
    now: UnixTime,
) -> rusqlite::Result<()> {
    delete(connection, client)?;
    connection
        .prepare_cached(
            "INSERT INTO sturdy_refs (hash, type, args, created)
             VALUES (?1, ?2, ?3, date(?4, 'unixepoch'))",
        )?
        .execute(params![digest, CLIENT_TYPE, client.as_bytes(), now.0])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, client: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM sturdy_refs WHERE type = ?1 AND args = ?2")?
        .execute(params![CLIENT_TYPE, client.as_bytes()])?;
    Ok(())
}
