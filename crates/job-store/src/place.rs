//! Where a store is.

use std::path::PathBuf;

use cluster_postgres::{Lease, Settings};

use crate::{OpenError, Reader, Writer, postgres, sqlite};

/// The two halves of a store, whichever it is.
pub type Halves = (Box<dyn Writer>, Box<dyn Reader>);

/// Where a store is. All stores do the same.
#[derive(Clone, Debug)]
pub enum Place {
    /// In an SQLite file.
    File(PathBuf),
    /// In PostgreSQL.
    Postgres {
        /// The database.
        settings: Settings,
        /// The right to write to it. Its tables are prepared by `cluster_postgres::prepare`.
        lease: Lease,
    },
}

impl Place {
    /// Opens the store, and makes it if it is a file that does not exist.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when it cannot be used.
    pub fn open(&self) -> Result<Halves, OpenError> {
        Ok(match self {
            Self::File(path) => {
                let (writer, reader) = sqlite::open(path)?;
                (Box::new(writer), Box::new(reader))
            }
            Self::Postgres { settings, lease } => {
                let (writer, reader) = postgres::open(settings, *lease)?;
                (Box::new(writer), Box::new(reader))
            }
        })
    }

    /// Opens another reader of a store that is open.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when it cannot be read.
    pub fn open_reader(&self) -> Result<Box<dyn Reader>, OpenError> {
        Ok(match self {
            Self::File(path) => Box::new(sqlite::open_reader(path)?),
            Self::Postgres { settings, .. } => Box::new(postgres::open_reader(settings)?),
        })
    }
}
