//! Why a scheduler cannot wait for the lease.

use std::io;

use crate::db;

/// Why a scheduler cannot wait for the lease of its database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] db::OpenError),
    /// Another scheduler of the cluster has another key.
    #[error(
        "the schedulers on a database must have the same key: {leader} has sha-256@{theirs}, and this one \
         sha-256@{ours}; copy its key file, or give this scheduler a database of its own"
    )]
    OtherKey {
        /// The fingerprint of this scheduler's key.
        ours: String,
        /// That of the leader's.
        theirs: String,
        /// Who has it.
        leader: String,
    },
    /// Its threads cannot be started.
    #[error("cannot start the threads of the lease")]
    Threads(#[source] io::Error),
    /// Its threads have ended.
    #[error("the threads of the lease have ended; this is a bug")]
    Ended,
}
