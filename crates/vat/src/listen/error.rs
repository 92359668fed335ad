//! Why a listener cannot be opened.

use std::io;
use std::path::PathBuf;

use crate::Address;

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program listens there.
    #[error(
        "cannot listen at {0}: the address is in use; check whether another scheduler is running"
    )]
    InUse(Address),
    /// The host has no address.
    #[error("cannot listen at {address}: unknown host: {source}")]
    UnknownHost {
        /// The address.
        address: Address,
        /// The resolver's error.
        source: io::Error,
    },
    /// There is a file at the path that is not a socket.
    #[error(
        "cannot listen at unix:{}: there is a file that is not a socket; move it, or choose another path",
        .0.display()
    )]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("cannot listen at {address}: {source}")]
    Io {
        /// The address.
        address: Address,
        /// The cause.
        source: io::Error,
    },
    /// The key does not work with TLS.
    #[error("cannot use the key for TLS: {0}")]
    Tls(rustls::Error),
}

impl ListenError {
    pub(super) fn of_io_error(address: &Address, source: io::Error) -> Self {
        let address = address.clone();
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::InUse(address)
        } else {
            Self::Io { address, source }
        }
    }
}
