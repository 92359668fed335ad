//! The tables, and the file that they are in.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::OpenError;

/// The version of the tables. A file of an older one is brought up to date when it is opened; see [`STEPS`].
pub(super) const VERSION: i64 = 6;

/// Marks the file as ours: "OCJB".
const APPLICATION_ID: i64 = 0x4f43_4a42;

/// What brings a file from each version to the next one.
const STEPS: [&str; VERSION as usize] = [
    TABLES,
    ATTACHED,
    BESIDE,
    ENDED_DESCRIPTIONS,
    PHASES,
    LOG_LENGTHS,
];

const TABLES: &str = "
    -- seq: the order of submissions. Times and limits are in microseconds; times since 1970. A job continues without
    -- its client when return_* are null. state: see words.rs. since: when it began to wait, got a worker, or ended.
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY,
        id INTEGER NOT NULL UNIQUE,
        client TEXT NOT NULL,
        pool TEXT NOT NULL,
        hint TEXT NOT NULL,
        urgent INTEGER NOT NULL,
        key TEXT,
        attempts_allowed INTEGER NOT NULL,
        queue_limit INTEGER,
        run_limit INTEGER,
        silence_limit INTEGER,
        return_closed INTEGER,
        return_silent INTEGER,
        return_restarted INTEGER,
        kind TEXT NOT NULL,
        description BLOB,
        submitted INTEGER NOT NULL,
        fair_start INTEGER,
        state INTEGER NOT NULL,
        since INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        outcome TEXT,
        detail TEXT,
        exit_code INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX jobs_by_key ON jobs (client, key) WHERE key IS NOT NULL;
    CREATE INDEX jobs_by_client ON jobs (client, seq);
    CREATE INDEX jobs_by_state ON jobs (state, seq);
    CREATE INDEX jobs_by_end ON jobs (since) WHERE state > 1;

    CREATE TABLE attempts (
        job INTEGER NOT NULL,
        number INTEGER NOT NULL,
        worker TEXT NOT NULL,
        survives INTEGER NOT NULL,
        started INTEGER NOT NULL,
        ended INTEGER,
        end TEXT,
        detail TEXT,
        exit_code INTEGER,
        PRIMARY KEY (job, number)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE labels (
        seq INTEGER NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (seq, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX jobs_by_label ON labels (name, value, seq);
";

/// Attached jobs are in the history, too.
const ATTACHED: &str = "
    -- Those that end with the connection of their client or worker are in the history, too.
    ALTER TABLE jobs ADD COLUMN attached INTEGER NOT NULL DEFAULT 0;
";

/// What is kept beside the jobs.
const BESIDE: &str = "
    -- What operators did. time: in microseconds since 1970, and different for each.
    CREATE TABLE audit (
        time INTEGER PRIMARY KEY,
        service TEXT NOT NULL,
        address TEXT NOT NULL,
        by TEXT NOT NULL,
        action TEXT NOT NULL,
        pool TEXT NOT NULL,
        object TEXT NOT NULL,
        detail TEXT NOT NULL,
        error TEXT NOT NULL
    ) STRICT;

    -- The logs that are whole. since: when they were. bytes: what they take of the disk, null when they were removed.
    CREATE TABLE logs (
        job INTEGER NOT NULL,
        number INTEGER NOT NULL,
        since INTEGER NOT NULL,
        bytes INTEGER,
        PRIMARY KEY (job, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX logs_by_end ON logs (since) WHERE bytes IS NOT NULL;
";

/// Finds the descriptions that are to be wiped.
const ENDED_DESCRIPTIONS: &str = "
    CREATE INDEX ended_descriptions ON jobs (since) WHERE state > 1 AND description IS NOT NULL;
";

/// What the attempts consisted of.
const PHASES: &str = "
    -- The parts of attempts. started, ended: in microseconds since the beginning of the attempt; ended is null if that
    -- is not known. log_offset: the length of the log when it began.
    CREATE TABLE phases (
        job INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        log_offset INTEGER NOT NULL,
        started INTEGER NOT NULL,
        ended INTEGER,
        cached INTEGER NOT NULL,
        PRIMARY KEY (job, attempt, number)
    ) STRICT, WITHOUT ROWID;
";

/// How long the logs are that are in a log store: it need not answer for that.
const LOG_LENGTHS: &str = "
    -- How long the log is, in bytes; null if an older version has counted it.
    ALTER TABLE logs ADD COLUMN length INTEGER;
";

/// Opens the file for the writer: makes it, or brings it up to date.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path).map_err(|source| explain(path, source))?;
    prepare(&mut connection, path)?;
    Ok(connection)
}

/// Opens the file for a reader. The writer has it open.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|source| explain(path, source))?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(|source| explain(path, source))?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let number = |pragma: &str| {
        let found = connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        found.map_err(|source| explain(path, source))
    };
    let found = number("user_version")?;
    let application = number("application_id")?;
    let is_new = number("schema_version")? == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    if found > VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    check(connection, path)?;
    migrate(connection, found).map_err(|source| explain(path, source))
}

/// Looks for damage that would show only later.
fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let detail: String = connection
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(|source| explain(path, source))?;
    match detail.as_str() {
        "ok" => Ok(()),
        _ => Err(OpenError::Damaged {
            path: path.to_owned(),
            detail,
        }),
    }
}

fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    // Readers continue while changes are saved, and what is committed survives a power cut.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is deleted is overwritten: descriptions are, when they are not needed any more.
    connection.pragma_update(None, "secure_delete", "ON")?;
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn explain(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Damaged {
            path,
            detail: source.to_string(),
        },
        _ => OpenError::Unreadable { path, source },
    }
}
