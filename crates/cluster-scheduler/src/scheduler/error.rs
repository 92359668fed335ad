//! Why a scheduler cannot be started.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use cluster_web::ServerError;
use vat::{CapFileError, IdentityError, ListenError};

use crate::cluster::AddClientError;
use crate::config::FileName;
use crate::db;
use crate::durable::KeepError;
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
