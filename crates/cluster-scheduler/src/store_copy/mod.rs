//! Moves the state of a cluster between SQLite files and PostgreSQL, while no scheduler runs on it.
//!
//! Rows are copied as they are, table by table. The target is complete or as it was: a transaction, or files that get
//! their names at the end.

mod database;
mod files;
mod tables;

use std::path::PathBuf;

use cluster_postgres::Settings;
use job_store::StoreError;

use self::database::Database;
use self::files::{Files, NewFiles};
use crate::db;
use crate::state_dir::{StateDir, StateDirError};

/// Where the state of a cluster is.
#[derive(Clone, Debug)]
pub enum StorePlace {
    /// In the SQLite files of this state directory.
    StateDir(PathBuf),
    /// In a PostgreSQL database.
    Postgres(Settings),
}

/// A table that was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// How many rows were left out, as their texts are not UTF-8. No program of ours can name them.
    pub left_out: u64,
}

/// Why the state cannot be copied. The target is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Both are of the same kind.
    #[error(
        "cannot copy the state: one place must be a state directory, and the other one a postgres:// address"
    )]
    SameKind,
    /// The target is in use.
    #[error("cannot copy the state to {place}: {found}; choose an empty place")]
    NotEmpty {
        /// The target.
        place: String,
        /// What is there.
        found: String,
    },
    /// There is nothing to copy.
    #[error("cannot copy the state from {}: there is no {file} in it; check the state directory", place.display())]
    NothingThere {
        /// The state directory.
        place: PathBuf,
        /// The file.
        file: &'static str,
    },
    /// The target has another number of rows than the source.
    #[error("cannot copy the table {table}: {copied} rows were written, and {found} are there")]
    Miscounted {
        /// The table.
        table: &'static str,
        /// How many were written.
        copied: u64,
        /// How many were found.
        found: u64,
    },
    /// A value is not of the kind that its column is for.
    #[error("cannot copy the table {table}: its column {column} has a value of another kind")]
    Unexpected {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// Upstream's tables cannot be used.
    #[error(transparent)]
    Tables(#[from] db::OpenError),
    /// The jobs cannot be used.
    #[error(transparent)]
    Jobs(#[from] job_store::OpenError),
    /// PostgreSQL refused something, or went away.
    #[error(transparent)]
    Database(#[from] cluster_postgres::Error),
    /// SQLite refused something.
    #[error("cannot copy the state: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A file cannot be moved.
    #[error("cannot copy the state: {0}")]
    File(#[from] std::io::Error),
}

impl From<cluster_postgres::OpenError> for CopyError {
    fn from(error: cluster_postgres::OpenError) -> Self {
        Self::Tables(db::OpenError::Postgres(error))
    }
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Jobs(job_store::OpenError::Store(error))
    }
}

/// Copies the state of a cluster to an empty place of the other kind, and counts the rows there. No scheduler may run
/// on either: one that runs on the database can save nothing more.
///
/// It blocks, and must not be called on the thread of an asynchronous runtime.
///
/// # Errors
///
/// [`CopyError`] says why the state cannot be copied. The target is as it was.
pub fn copy_store(from: &StorePlace, to: &StorePlace) -> Result<Vec<CopiedTable>, CopyError> {
    match (from, to) {
        (StorePlace::StateDir(from), StorePlace::Postgres(to)) => {
            let state_dir = StateDir::open(from)?;
            let mut files = Files::open(&state_dir, from)?;
            Database::open(to)?.fill(&mut files)
        }
        (StorePlace::Postgres(from), StorePlace::StateDir(to)) => {
            let state_dir = StateDir::open(to)?;
            let mut files = NewFiles::make(&state_dir, to)?;
            let copied = Database::open(from)?.read_into(&mut files)?;
            files.publish()?;
            Ok(copied)
        }
        _ => Err(CopyError::SameKind),
    }
}
