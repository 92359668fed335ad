//! Why a scheduler could not be started.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use vat::{CapFileError, IdentityError, ListenError};

use crate::cluster::AddClientError;
use crate::config::FileName;
use crate::db;
use crate::service::restore::ServiceError;
use crate::state_dir::StateDirError;

/// Why a scheduler could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is nothing to schedule for.
    #[error("no pools are given; name at least one")]
    NoPools,
    /// The directory for cap files is not there.
    #[error("the secrets directory {} does not exist; create it, with access for nobody else", .0.display())]
    NoSecretsDir(PathBuf),
    /// The vat's key could not be loaded or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The state directory could not be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// The database could not be used.
    #[error(transparent)]
    Database(#[from] db::OpenError),
    /// The address could not be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The address for metrics could not be listened on.
    #[error(
        "cannot serve metrics at {address}: {source}; choose another port, or an address of this machine"
    )]
    ListenMetrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A default client could not be added.
    #[error("failed to add the default client {client}")]
    DefaultClient {
        /// Its name.
        client: FileName,
        /// Why not.
        #[source]
        source: AddClientError,
    },
    /// A service could not be made.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A cap file could not be written.
    #[error(transparent)]
    CapFile(#[from] CapFileError),
}
