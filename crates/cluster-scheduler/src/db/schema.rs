//! The database file: whether it is a scheduler's, and its tables.
//!
//! It is checked before anything is written: a file that is damaged, of another program, or of a later version is
//! refused unchanged.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::OpenError;

/// The `user_version` of the files this program writes. Upstream has never set it.
pub(super) const VERSION: i64 = 0;

/// How long a write waits for another process that has the file locked (an operator's `sqlite3`, say).
const BUSY_TIMEOUT: Duration = Duration::from_millis(1000);

/// Upstream's tables. What they were created with decides what upstream reads back: `rate` must be
/// REAL, and `hash` and `args` BLOB.
const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS cached (
        pool       TEXT NOT NULL,
        cache_hint TEXT NOT NULL,
        worker     TEXT NOT NULL,
        created    DATETIME NOT NULL,
        PRIMARY KEY (pool, cache_hint, worker));
    CREATE TABLE IF NOT EXISTS pool_user_rate (
        pool       TEXT NOT NULL,
        user       TEXT NOT NULL,
        rate       REAL NOT NULL,
        PRIMARY KEY (pool, user));
    CREATE TABLE IF NOT EXISTS workers (
        pool       TEXT NOT NULL,
        id         TEXT NOT NULL,
        paused     BOOLEAN DEFAULT 0,
        PRIMARY KEY (pool, id));
    CREATE TABLE IF NOT EXISTS sturdy_refs (
        hash       BLOB NOT NULL,
        type       TEXT NOT NULL,
        args       BLOB NOT NULL,
        created    DATETIME NOT NULL,
        PRIMARY KEY (hash));
    CREATE INDEX IF NOT EXISTS sturdy_refs_rev ON sturdy_refs (type, args);
";

/// Tables of this program. Upstream's scheduler leaves them alone.
const CREATE_OURS: &str = "
    CREATE TABLE IF NOT EXISTS pauses (
        pool       TEXT NOT NULL,
        id         TEXT NOT NULL,
        since      INTEGER NOT NULL,
        paused_by  TEXT NOT NULL,
        note       TEXT NOT NULL,
        PRIMARY KEY (pool, id));
";

/// In 2020 hints were remembered, but not workers. Hints count only for workers that are known.
const WORKERS_OF_2020: &str = "
    INSERT OR IGNORE INTO workers (pool, id, paused) SELECT DISTINCT pool, worker, 0 FROM cached";

/// The columns each table must have to be used. Others may be there too: they are not touched.
const COLUMNS: [(&str, &[&str]); 5] = [
    ("cached", &["pool", "cache_hint", "worker", "created"]),
    ("pool_user_rate", &["pool", "user", "rate"]),
    ("workers", &["pool", "id", "paused"]),
    ("sturdy_refs", &["hash", "type", "args", "created"]),
    ("pauses", &["pool", "id", "since", "paused_by", "note"]),
];

/// Opens the file, checks it, and creates the tables it lacks.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let sqlite = |source| explain(path, source);
    // The directory may be reached through a symbolic link, but not the file.
    let whole = path
        .parent()
        .and_then(|directory| directory.canonicalize().ok());
    let whole = whole
        .zip(path.file_name())
        .map_or_else(|| path.to_owned(), |(directory, name)| directory.join(name));
    let flags = OpenFlags::default() | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(whole, flags).map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    check_version(path, &connection)?;
    let tables = check_tables(path, &connection)?;
    check_pages(path, &connection)?;
    set_up(&connection).map_err(sqlite)?;
    if tables.iter().any(|table| table == "cached")
        && !tables.iter().any(|table| table == "workers")
    {
        connection.execute_batch(WORKERS_OF_2020).map_err(sqlite)?;
    }
    Ok(connection)
}

/// Returns the most helpful error for one of SQLite's.
pub(super) fn explain(path: &Path, source: rusqlite::Error) -> OpenError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Corrupt {
            path: path.to_owned(),
            detail: source.to_string(),
        },
        _ => OpenError::Sqlite {
            path: path.to_owned(),
            source,
        },
    }
}

fn check_version(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let version = |pragma| {
        connection
            .query_row(pragma, [], |row| row.get::<_, i64>(0))
            .map_err(|source| explain(path, source))
    };
    let application = version("PRAGMA application_id")?;
    if application != 0 {
        let detail = format!("its application id is {application:#x}");
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            detail,
        });
    }
    let found = version("PRAGMA user_version")?;
    if found != VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
        });
    }
    Ok(())
}

/// Checks that the tables are a scheduler's, and returns their names. One from 2020 has only `cached`; a new file has
/// none.
fn check_tables(path: &Path, connection: &Connection) -> Result<Vec<String>, OpenError> {
    let sqlite = |source| explain(path, source);
    let foreign = |detail| {
        Err(OpenError::Foreign {
            path: path.to_owned(),
            detail,
        })
    };
    let tables = names(
        connection,
        "SELECT name FROM sqlite_master WHERE type = 'table'",
        [],
    )
    .map_err(sqlite)?;
    if !tables.is_empty() && !tables.iter().any(|table| table == "cached") {
        return foreign("it has tables, but not 'cached'".to_owned());
    }
    for (table, wanted) in COLUMNS {
        if !tables.iter().any(|found| found == table) {
            continue;
        }
        let found = names(
            connection,
            "SELECT name FROM pragma_table_info(?1)",
            [table],
        )
        .map_err(sqlite)?;
        if let Some(missing) = wanted
            .iter()
            .find(|wanted| !found.iter().any(|name| name == *wanted))
        {
            return foreign(format!("its table '{table}' has no column '{missing}'"));
        }
    }
    Ok(tables)
}

fn names(
    connection: &Connection,
    query: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(query)?
        .query_map(parameters, |row| row.get(0))?
        .collect()
}

/// Checks the structure of every page. All of them are about to be read anyway.
fn check_pages(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| explain(path, source))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(OpenError::Corrupt {
            path: path.to_owned(),
            detail: verdict,
        })
    }
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // Readers (backups, operators) never block the writer, and a commit is one append.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // A power cut may lose the last commits, as with upstream, but damages nothing.
    connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    connection.execute_batch(CREATE)?;
    connection.execute_batch(CREATE_OURS)
}
