//! Why a connection cannot be made, and what to check.

use std::io;
use std::time::Duration;

use crate::restore::UNKNOWN_SERVICE;
use crate::tls::WrongKey;
use crate::{Address, Fingerprint, Phase};

/// Why there is no session. Each text ends with what to check.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Another server answers at the address.
    #[error(
        "cannot connect to {address}: its key does not match the sturdy ref (expected {expected}, got {got}); \
         check that the cap file is of this server and not older than its key"
    )]
    WrongFingerprint {
        /// The server's address.
        address: Address,
        /// The key in the sturdy ref.
        expected: Fingerprint,
        /// The key that the server presented.
        got: Fingerprint,
    },
    /// The server does not know the service id.
    #[error(
        "{UNKNOWN_SERVICE}: {address} does not know the secret in the sturdy ref; check that the cap file is \
         current and its access has not been removed"
    )]
    UnknownService {
        /// The server's address.
        address: Address,
    },
    /// The server knows the service, but cannot provide it.
    #[error("cannot get the service from {address}: {error}")]
    ServiceFailed {
        /// The server's address.
        address: Address,
        /// The server's error.
        error: capnp::Error,
    },
    /// Nothing listens at the address.
    #[error(
        "cannot connect to {address}: connection refused; check that the server runs and listens there"
    )]
    Refused {
        /// The server's address.
        address: Address,
    },
    /// The server does not accept the connection.
    #[error(
        "cannot connect to {address}: no answer within {seconds} s; check the network, firewalls, and whether the \
         server is stopped"
    )]
    TimedOut {
        /// The server's address.
        address: Address,
        /// How long the dialer waited.
        seconds: f32,
    },
    /// The server accepts the connection, and does not respond.
    #[error(
        "cannot connect to {address}: it accepts connections, but does not respond: no answer {phase} within \
         {seconds} s; check that this is the server's port, and that the server is not stopped"
    )]
    Silent {
        /// The server's address.
        address: Address,
        /// What the dialer waited for.
        phase: Phase,
        /// How long the dialer waited.
        seconds: f32,
    },
    /// The name has no address.
    #[error(
        "cannot connect to unknown host {host:?}: {source}; check the name in the sturdy ref, and the resolver"
    )]
    UnknownHost {
        /// The name.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The sturdy ref demands TLS, and the server does not speak it.
    #[error(
        "cannot connect to {address}: it does not speak TLS ({detail}); check the port, and whether the server was \
         started with TLS disabled (its cap files then start with capnp://insecure@)"
    )]
    NotTls {
        /// The server's address.
        address: Address,
        /// What shows that it does not.
        detail: String,
    },
    /// The sturdy ref says `insecure`, and the server speaks TLS.
    #[error(
        "cannot connect to {address}: it speaks TLS, but the sturdy ref says \"insecure\"; use the server's current \
         cap file (it starts with capnp://sha-256:)"
    )]
    SpeaksTls {
        /// The server's address.
        address: Address,
    },
    /// The TLS handshake failed in another way.
    #[error("cannot connect to {address}: the TLS handshake failed: {source}")]
    Tls {
        /// The server's address.
        address: Address,
        /// The cause.
        source: io::Error,
    },
    /// The connection was lost before the server's first answer.
    #[error("cannot connect to {address}: it closed the connection before answering: {error}")]
    Closed {
        /// The server's address.
        address: Address,
        /// The cause.
        error: capnp::Error,
    },
    /// The system cannot connect.
    #[error("cannot connect to {address}: {source}")]
    Io {
        /// The server's address.
        address: Address,
        /// The cause.
        source: io::Error,
    },
}

impl ConnectError {
    /// Returns whether this server needs another cap file. Other problems pass when a machine or a program is back.
    pub fn needs_another_cap_file(&self) -> bool {
        match self {
            Self::WrongFingerprint { .. }
            | Self::UnknownService { .. }
            | Self::SpeaksTls { .. } => true,
            // A scheduler that is exiting gives this error too.
            Self::NotTls { .. }
            | Self::ServiceFailed { .. }
            | Self::Refused { .. }
            | Self::TimedOut { .. }
            | Self::Silent { .. }
            | Self::UnknownHost { .. }
            | Self::Tls { .. }
            | Self::Closed { .. }
            | Self::Io { .. } => false,
        }
    }
}

pub(crate) fn timed_out(address: &Address, limit: Duration) -> ConnectError {
    ConnectError::TimedOut {
        address: address.clone(),
        seconds: limit.as_secs_f32(),
    }
}

pub(crate) fn silent(address: &Address, phase: Phase, limit: Duration) -> ConnectError {
    ConnectError::Silent {
        address: address.clone(),
        phase,
        seconds: limit.as_secs_f32(),
    }
}

pub(crate) fn connect_error(address: &Address, source: io::Error) -> ConnectError {
    let address = address.clone();
    match source.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            ConnectError::Refused { address }
        }
        _ => ConnectError::Io { address, source },
    }
}

pub(crate) fn handshake_error(address: &Address, error: io::Error) -> ConnectError {
    let address = address.clone();
    let cause = error.get_ref().and_then(|e| e.downcast_ref());
    match cause {
        Some(rustls::Error::Other(other)) => match other.0.downcast_ref() {
            Some(&WrongKey { expected, got }) => ConnectError::WrongFingerprint {
                address,
                expected,
                got,
            },
            None => ConnectError::Tls {
                address,
                source: error,
            },
        },
        Some(rustls::Error::InvalidMessage(_)) => ConnectError::NotTls {
            address,
            detail: error.to_string(),
        },
        _ if error.kind() == io::ErrorKind::UnexpectedEof
            || error.kind() == io::ErrorKind::ConnectionReset =>
        {
            ConnectError::NotTls {
                address,
                detail: "it closed the connection during the handshake".to_owned(),
            }
        }
        _ => ConnectError::Tls {
            address,
            source: error,
        },
    }
}
