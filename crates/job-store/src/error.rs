//! Why a store cannot be used.

use std::path::PathBuf;

/// Why a store cannot be opened. In all these cases nothing has been written to it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or read.
    #[error("cannot open the jobs' database {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is not a database, or a damaged one.
    #[error(
        "the jobs' database {} is damaged ({detail}); restore it from a backup, or move it away to start afresh",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing found to be wrong.
        detail: String,
    },
    /// A later version of this program has written it.
    #[error(
        "the jobs' database {} has version {found}, but this program knows only version {known}; use a newer program",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version of this program.
        known: i64,
    },
    /// It is a database of something else.
    #[error("{} is not a database of jobs; check the state directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It is PostgreSQL, and cannot be used.
    #[error(transparent)]
    Postgres(#[from] cluster_postgres::OpenError),
    /// It was opened, but cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a store cannot be read, or changes cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no: the disk is full, or read-only.
    #[error("the jobs' database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The same of PostgreSQL; or it is away, or another process has its lease.
    #[error("the jobs' database: {0}")]
    Postgres(#[from] cluster_postgres::Error),
    /// A row is not what this program writes.
    #[error("the jobs' database is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Returns whether the change itself is wrong, so that it would be refused by any disk.
    pub(crate) fn is_of_the_change(&self) -> bool {
        match self {
            Self::Database(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            Self::Postgres(error) => error.is_of_the_values(),
            Self::Damaged(_) => false,
        }
    }

    /// Returns the error of PostgreSQL, if it is one.
    pub fn of_postgres(&self) -> Option<&cluster_postgres::Error> {
        match self {
            Self::Postgres(error) => Some(error),
            Self::Database(_) | Self::Damaged(_) => None,
        }
    }

    /// Tells whether the database is away.
    pub(crate) fn is_away(&self) -> bool {
        self.of_postgres()
            .is_some_and(cluster_postgres::Error::is_away)
    }
}
