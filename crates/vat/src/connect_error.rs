//! Why a connection could not be made, and what to check.

use std::io;
use std::time::Duration;

use crate::restore::UNKNOWN_SERVICE;
use crate::tls::WrongKey;
use crate::{Address, Fingerprint, Phase};

/// Why there is no session. Each text says what to check.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Somebody else answers at the address.
    #[error(
        "{address} has another key than the sturdy ref says (expected {expected}, got {got}): \
         check that the cap file is of this server and not older than its key"
    )]
    WrongFingerprint {
        /// Where.
        address: Address,
        /// The key in the sturdy ref.
        expected: Fingerprint,
        /// The key that was shown.
        got: Fingerprint,
    },
    /// The server does not know the service id.
    #[error(
        "{UNKNOWN_SERVICE}: {address} does not know the secret in the sturdy ref: check that the cap file is \
         current and its access has not been removed"
    )]
    UnknownService {
        /// Where.
        address: Address,
    },
    /// The server knows the service, but could not provide it.
    #[error("{address} cannot provide the service: {error}")]
    ServiceFailed {
        /// Where.
        address: Address,
        /// What the server says.
        error: capnp::Error,
    },
    /// Nobody listens there.
    #[error("connection to {address} refused: check that the server is running and listens there")]
    Refused {
        /// Where.
        address: Address,
    },
    /// There is no answer.
    #[error(
        "no answer from {address} {during} within {seconds} s: check the network, firewalls, and whether the \
         server is stopped"
    )]
    TimedOut {
        /// Where.
        address: Address,
        /// What was waited for.
        during: &'static str,
        /// How long was waited.
        seconds: f32,
    },
    /// Somebody accepts connections there, and says nothing.
    #[error(
        "{address} accepts connections and says nothing: no answer {phase} within {seconds} s; check that this is the \
         server's port, and that the server is not stopped"
    )]
    Silent {
        /// Where.
        address: Address,
        /// What was waited for.
        phase: Phase,
        /// How long was waited.
        seconds: f32,
    },
    /// The name has no address.
    #[error("unknown host {host:?}: check the name in the sturdy ref, and the resolver ({source})")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The sturdy ref says TLS, and the server does not speak it.
    #[error(
        "{address} does not speak TLS ({detail}): check the port, and whether the server was started with TLS \
         disabled (its cap files start with capnp://insecure@ then)"
    )]
    NotTls {
        /// Where.
        address: Address,
        /// What happened.
        detail: String,
    },
    /// The sturdy ref says `insecure`, and the server speaks TLS.
    #[error(
        "{address} speaks TLS, but the sturdy ref says \"insecure\": use the server's current cap file \
         (it starts with capnp://sha-256:)"
    )]
    SpeaksTls {
        /// Where.
        address: Address,
    },
    /// The TLS handshake failed in another way.
    #[error("TLS connection to {address} failed: {source}")]
    Tls {
        /// Where.
        address: Address,
        /// What went wrong.
        source: io::Error,
    },
    /// The connection was made, but lost before the server had answered.
    #[error("{address} closed the connection before answering: {error}")]
    Closed {
        /// Where.
        address: Address,
        /// What went wrong.
        error: capnp::Error,
    },
    /// The system could not connect.
    #[error("connection to {address} failed: {source}")]
    Io {
        /// Where.
        address: Address,
        /// What went wrong.
        source: io::Error,
    },
}

pub(crate) fn timed_out(address: &Address, patience: Duration) -> ConnectError {
    ConnectError::TimedOut {
        address: address.clone(),
        during: "to the connection",
        seconds: patience.as_secs_f32(),
    }
}

pub(crate) fn silent(address: &Address, phase: Phase, patience: Duration) -> ConnectError {
    ConnectError::Silent {
        address: address.clone(),
        phase,
        seconds: patience.as_secs_f32(),
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
