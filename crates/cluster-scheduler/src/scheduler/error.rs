//! Why a scheduler cannot be started.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use cluster_web::ServerError;
use job_store::StoreError;
use leadership::StopReason;
use vat::{CapFileError, IdentityError, ListenError};

use crate::cluster::AddClientError;
use crate::config::FileName;
use crate::db;
use crate::durable::KeepError;
use crate::leading::LeaseError;
use crate::state_dir::StateDirError;

/// Why a scheduler cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No pool is configured.
    #[error("at least one pool is required")]
    NoPools,
    /// The directory for cap files does not exist.
    #[error("cannot write cap files to {}: there is no such directory; create it with mode 0700", .0.display())]
    NoSecretsDir(PathBuf),
    /// Cannot load or create the vat's key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Cannot use the state directory.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// Cannot use the database.
    #[error(transparent)]
    Database(#[from] db::OpenError),
    /// Cannot use what is kept of durable jobs.
    #[error(transparent)]
    DurableJobs(#[from] KeepError),
    /// Cannot listen on the address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Cannot serve pages.
    #[error(transparent)]
    Web(#[from] ServerError),
    /// Cannot listen on the address for metrics.
    #[error(
        "cannot serve metrics at {address}: {source}; choose another port, or an address of this machine"
    )]
    ListenMetrics {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Cannot wait for the lease of the database.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// It does not lead any more.
    #[error("this scheduler does not lead any more: {0}")]
    Stopped(StopReason),
    /// Cannot add a default client.
    #[error("cannot add the default client \"{client}\"")]
    DefaultClient {
        /// Its name.
        client: FileName,
        /// Why not.
        #[source]
        source: AddClientError,
    },
    /// Cannot write a cap file.
    #[error(transparent)]
    CapFile(#[from] CapFileError),
}

impl StartError {
    /// Tells whether a scheduler that has the lease could start in a moment: the database is away, or another one has
    /// the lease by now, which is about to be known.
    pub(super) fn may_pass(&self) -> bool {
        use cluster_postgres::{Error, OpenError};
        let passes = |error: &Error| error.is_away() || matches!(error, Error::Fenced(_));
        let of_store = |error: &StoreError| error.of_postgres().is_some_and(passes);
        match self {
            Self::Database(db::OpenError::Postgres(OpenError::Database(error))) => passes(error),
            Self::DurableJobs(KeepError::Database(job_store::OpenError::Postgres(
                OpenError::Database(error),
            ))) => passes(error),
            Self::DurableJobs(KeepError::Store(error)) => of_store(error),
            _ => false,
        }
    }
}
