//! The database's file: its table, and the content of rows.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, Row};

use super::Entry;
use crate::StepId;

/// How long opening waits for another process that has the file locked, such as an operator's `sqlite3`.
const OPEN_TIMEOUT: Duration = Duration::from_millis(1000);

/// How long a write waits. It delays all builds, and a failed write is retried later.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// After how many pages of 4 KiB the write-ahead log is moved into the file. Opening the file reads the log, which
/// takes a millisecond for every four megabytes.
const CHECKPOINT_PAGES: u32 = 256;

/// The reference's table and index, and an index of ours, which the reference ignores. The foreign key was never
/// checked.
const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS builds (
        id      TEXT PRIMARY KEY,
        created DATETIME NOT NULL,
        used    DATETIME NOT NULL,
        rc      INTEGER NOT NULL,
        parent  TEXT,
        FOREIGN KEY (parent) REFERENCES builds (id) ON DELETE RESTRICT);
    CREATE INDEX IF NOT EXISTS lru ON builds (rc, used);
    CREATE INDEX IF NOT EXISTS children ON builds (parent);
";

/// Counts the children of every result.
pub(super) const CORRECT_COUNTS: &str = "
    UPDATE builds AS b
    SET rc = (SELECT count(*) FROM builds AS c WHERE c.parent = b.id)
    WHERE rc <> (SELECT count(*) FROM builds AS c WHERE c.parent = b.id)";

/// Finds the results that no other is based on. The count is only for the index: it may be wrong.
pub(super) const LEAVES: &str = "
    SELECT id FROM builds AS b
    WHERE rc = 0 AND used < ?1 AND NOT EXISTS (SELECT 1 FROM builds AS c WHERE c.parent = b.id)
    ORDER BY used, rowid";

/// The reference's format of times: to the second, in UTC.
const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// Opens a file, and creates it or its tables if they are missing.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(OPEN_TIMEOUT)?;
    // No other process reads it, so no shared-memory file is needed: that is mapped into memory, and ends the process
    // by SIGBUS when btrfs has no room for a change to it.
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF; \
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
    ))?;
    // Otherwise every process waits for the disk twice at its end.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch(CREATE)?;
    // A foreign table of that name is detected here, and not in the middle of a build.
    connection.prepare("SELECT id, created, used, rc, parent FROM builds")?;
    connection.busy_timeout(WRITE_TIMEOUT)?;
    Ok(connection)
}

/// Returns whether an error means that the file is damaged.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{InvalidColumnType, SqlInputError};
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => true,
        // Our queries do not fit its tables.
        _ => matches!(error, SqlInputError { .. } | InvalidColumnType(..)),
    }
}

/// Moves a damaged file out of the way.
pub(super) fn put_aside(path: &Path) -> io::Result<()> {
    std::fs::rename(path, path.with_extension("damaged"))?;
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.to_owned().into_os_string();
        beside.push(suffix);
        match std::fs::remove_file(PathBuf::from(beside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns a time as the table has it.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime(TIME).to_string()
}

/// Returns the id in a row, or `None` (with a warning) if it is invalid.
pub(super) fn id(text: &str) -> Option<StepId> {
    text.parse()
        .inspect_err(|error| tracing::warn!("Ignoring a row of the database: {error}"))
        .ok()
}

/// Returns a row of `id, parent, created, used`, or `None` (with a warning) if it is invalid.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Option<Entry>> {
    let text = |column| row.get::<_, String>(column);
    let base: Option<String> = row.get(1)?;
    let base = match &base {
        None => None,
        Some(base) => match id(base) {
            None => return Ok(None),
            base => base,
        },
    };
    let (Some(id), Some(created), Some(used)) = (id(&text(0)?), at(&text(2)?), at(&text(3)?))
    else {
        return Ok(None);
    };
    Ok(Some(Entry {
        id,
        base,
        created,
        used,
    }))
}

fn at(text: &str) -> Option<Timestamp> {
    DateTime::strptime(TIME, text)
        .and_then(|time| time.to_zoned(TimeZone::UTC))
        .map(|time| time.timestamp())
        .inspect_err(|error| tracing::warn!("Ignoring a row of the database: {error}"))
        .ok()
}
