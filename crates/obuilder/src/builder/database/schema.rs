//! The database's file: its table, and what is in a row.

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

/// How long opening waits for another process that has the file locked (an operator's `sqlite3`, say).
const PATIENCE_TO_OPEN: Duration = Duration::from_millis(1000);

/// How long a write waits. It keeps every build waiting, and what was not written is written later.
const PATIENCE_TO_WRITE: Duration = Duration::from_millis(100);

/// After how many pages of 4 KiB the write-ahead log goes into the file. It is read when the file is opened, which costs
/// a millisecond for every four megabytes.
const CHECKPOINT_PAGES: u32 = 256;

/// The reference's table and index, and an index of ours, which does not disturb it. Nobody has ever checked the foreign
/// key.
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
pub(super) const MEND_COUNTS: &str = "
    UPDATE builds AS b
    SET rc = (SELECT count(*) FROM builds AS c WHERE c.parent = b.id)
    WHERE rc <> (SELECT count(*) FROM builds AS c WHERE c.parent = b.id)";

/// Finds the results that nothing is based on. The count is for the index; it is not believed.
pub(super) const LEAVES: &str = "
    SELECT id FROM builds AS b
    WHERE rc = 0 AND used < ?1 AND NOT EXISTS (SELECT 1 FROM builds AS c WHERE c.parent = b.id)
    ORDER BY used, rowid";

/// How the reference writes a time: to the second, in UTC.
const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// Opens a file, and creates what it lacks.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE_TO_OPEN)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};"
    ))?;
    // Or the end of every process waits for the disk twice.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch(CREATE)?;
    // A table of that name which is not ours is found out here rather than in the middle of a build.
    connection.prepare("SELECT id, created, used, rc, parent FROM builds")?;
    connection.busy_timeout(PATIENCE_TO_WRITE)?;
    Ok(connection)
}

/// Returns whether an error means that the file is of no use.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{InvalidColumnType, SqlInputError};
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => true,
        // What we ask does not fit the tables it has.
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

/// Returns the id in a row, or `None` (with a warning) if it is none.
pub(super) fn id(text: &str) -> Option<StepId> {
    text.parse()
        .inspect_err(|error| tracing::warn!("Ignoring a row of the database: {error}"))
        .ok()
}

/// Returns a row of `id, parent, created, used`, or `None` (with a warning) if it makes no sense.
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
