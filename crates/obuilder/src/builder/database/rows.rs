//! Changes of rows.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::schema;
use crate::StepId;
use crate::store::Finished;

/// A change of a result.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// It was made.
    Add {
        id: StepId,
        base: Option<StepId>,
        at: Timestamp,
    },
    /// It was used.
    Use {
        id: StepId,
        base: Option<StepId>,
        at: Timestamp,
    },
    /// It was removed.
    Remove { id: StepId },
}

impl Change {
    /// Returns the result that it happened to.
    pub(super) fn id(&self) -> &StepId {
        match self {
            Self::Add { id, .. } | Self::Use { id, .. } | Self::Remove { id } => id,
        }
    }
}

/// Writes changes, in order: all of them, or none.
pub(super) fn write(connection: &Connection, changes: &[Change]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    for change in changes {
        match change {
            Change::Add { id, base, at } => {
                add(&transaction, id, base.as_ref(), &schema::time(*at))?;
            }
            Change::Use { id, base, at } => {
                let at = schema::time(*at);
                let known = transaction
                    .prepare_cached("UPDATE builds SET used = ?2 WHERE id = ?1")?
                    .execute([&id.to_string(), &at])?;
                if known == 0 {
                    add(&transaction, id, base.as_ref(), &at)?;
                }
            }
            Change::Remove { id } => remove(&transaction, id)?,
        }
    }
    transaction.commit()
}

fn add(
    connection: &Connection,
    id: &StepId,
    base: Option<&StepId>,
    at: &str,
) -> rusqlite::Result<()> {
    let (id, base) = (id.to_string(), base.map(StepId::to_string));
    // A row may exist whose result was removed. Its counts are right already.
    let known = connection
        .prepare_cached("UPDATE builds SET created = ?2, used = ?2 WHERE id = ?1")?
        .execute(params![id, at])?;
    if known > 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO builds (id, created, used, rc, parent)
             VALUES (?1, ?2, ?2, (SELECT count(*) FROM builds WHERE parent = ?1), ?3)",
        )?
        .execute(params![id, at, base])?;
    connection
        .prepare_cached("UPDATE builds SET rc = rc + 1 WHERE id = ?1")?
        .execute([base])?;
    Ok(())
}

fn remove(connection: &Connection, id: &StepId) -> rusqlite::Result<()> {
    let base: Option<Option<String>> = connection
        .prepare_cached("DELETE FROM builds WHERE id = ?1 RETURNING parent")?
        .query_row([id.to_string()], |row| row.get(0))
        .optional()?;
    connection
        .prepare_cached("UPDATE builds SET rc = max(rc - 1, 0) WHERE id = ?1")?
        .execute([base.flatten()])?;
    Ok(())
}

/// Makes the rows agree with the results of the store.
pub(super) fn reconcile(connection: &Connection, results: &[Finished]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch("CREATE TEMP TABLE present (id TEXT PRIMARY KEY)")?;
    for Finished { id, base, dir } in results {
        let id = id.to_string();
        transaction
            .prepare_cached("INSERT OR IGNORE INTO present (id) VALUES (?1)")?
            .execute([&id])?;
        transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO builds (id, created, used, rc, parent)
                 VALUES (?1, ?2, ?2, 0, ?3)",
            )?
            .execute(params![id, made(dir), base.map(|base| base.to_string())])?;
    }
    transaction.execute_batch(
        "DELETE FROM builds WHERE id NOT IN (SELECT id FROM present); DROP TABLE present;",
    )?;
    transaction.execute_batch(schema::CORRECT_COUNTS)?;
    transaction.commit()
}

/// Returns when a result was made: the time of its directory, or 1970 if unknown.
fn made(dir: &Path) -> String {
    let modified = fs::metadata(dir).and_then(|dir| dir.modified()).ok();
    let at = modified.and_then(|at| Timestamp::try_from(at).ok());
    schema::time(at.unwrap_or(Timestamp::UNIX_EPOCH))
}
