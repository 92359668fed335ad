//! What the scheduler remembers across restarts: upstream's SQLite file, with upstream's tables and
//! meaning, so that either scheduler can be started on it.
//!
//! Everything is read once, when the file is opened, and kept in memory from then on ([`Saved`]).
//! Afterwards the file is only written to, by one thread of its own, so that a slow disk never keeps
//! the reactor waiting.
//!
//! There are two kinds of writes. A [`Change`] is already in effect: callers need not wait for it, though an
//! operator gets an error if it is not durable yet, and it is retried until it is saved. A client's secret
//! ([`PutClient`]) must be durable before it is handed out.
//!
//! The same is kept in PostgreSQL by [`open_postgres`], in tables of the same names. Upstream cannot use those.

mod cached;
mod clients;
mod pauses;
mod postgres;
mod rates;
mod schema;
mod stats;
mod tables;
mod workers;
mod writer;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

pub use self::cached::CachedRow;
pub use self::clients::{CLIENT_TYPE, SturdyRefRow};
pub use self::pauses::PauseRow;
pub use self::postgres::{TABLES, open as open_postgres};
pub use self::rates::RateRow;
pub use self::stats::WriterStats;
use self::tables::FileTables;
pub use self::workers::WorkerRow;
pub use self::writer::{Ack, Change, PutClient, WriteError, Writer};

/// Seconds since 1970, UTC. The database keeps only the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub i64);

/// Why the database cannot be used. In all these cases nothing has been written to it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Cannot open or read the file.
    #[error("cannot open the database {}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is not an SQLite database, or one that is damaged.
    #[error(
        "the database {} is damaged ({detail}); restore it from a backup, or move it away to start afresh",
        path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// The first thing found to be wrong.
        detail: String,
    },
    /// A later version of this program has written it.
    #[error(
        "the database {} has version {found}, but this program knows only version {known}; use a newer program",
        path.display(),
        known = schema::VERSION
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its `user_version`.
        found: i64,
    },
    /// It is a database, but not a scheduler's.
    #[error("{} is not a scheduler's database ({detail}); check the state directory", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
        /// What gave it away.
        detail: String,
    },
    /// PostgreSQL cannot be used.
    #[error(transparent)]
    Postgres(#[from] cluster_postgres::OpenError),
    /// Cannot start the thread that writes.
    #[error("cannot start the database thread")]
    Thread(#[source] std::io::Error),
}

/// All that the database held when it was opened.
#[derive(Debug, Default)]
pub struct Saved {
    /// Clients' secrets (as digests), and those of services that this program does not know.
    pub sturdy_refs: Vec<SturdyRefRow>,
    /// Which worker has built which hint.
    pub cached: Vec<CachedRow>,
    /// Every worker ever seen, and whether an operator paused it.
    pub workers: Vec<WorkerRow>,
    /// Clients' shares that differ from the default.
    pub rates: Vec<RateRow>,
    /// Who paused workers, when and why. Those count that [`Saved::workers`] has as paused.
    pub pauses: Vec<PauseRow>,
}

/// Opens (or creates) the database at `path`, reads everything, and starts the thread that writes.
///
/// Hints that were unused for 180 days before `now` are dropped first.
///
/// # Errors
///
/// [`OpenError`] says why the database cannot be used.
pub fn open(path: &Path, now: UnixTime) -> Result<(Writer, Saved), OpenError> {
    let connection = schema::open(path)?;
    let saved = load(&connection, now).map_err(|source| schema::explain(path, source))?;
    let writer = Writer::start(Box::new(FileTables(connection))).map_err(OpenError::Thread)?;
    Ok((writer, saved))
}

fn load(connection: &Connection, now: UnixTime) -> rusqlite::Result<Saved> {
    cached::drop_expired(connection, now)?;
    Ok(Saved {
        sturdy_refs: clients::load(connection)?,
        cached: cached::load(connection)?,
        workers: workers::load(connection)?,
        rates: rates::load(connection)?,
        pauses: pauses::load(connection)?,
    })
}

/// Returns the text in a column, or `None` (with a warning) when it is not valid UTF-8.
///
/// Upstream stores whatever bytes it was sent. Names in this program are text, so no request can name
/// such a row: it stays in the file, unused.
fn text(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<String>> {
    let bytes = match row.get_ref(column)? {
        rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => bytes,
        other => {
            tracing::warn!(
                target: "scheduler",
                column,
                kind = %other.data_type(),
                "Ignoring a row of the database: not text"
            );
            return Ok(None);
        }
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => {
            tracing::warn!(target: "scheduler", column, "Ignoring a row of the database: not valid UTF-8");
            Ok(None)
        }
    }
}
