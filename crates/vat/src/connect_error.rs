//! Why a connection cannot be made, and what to check.

use std::fmt;
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
    /// There are several addresses, and none works.
    #[error("cannot connect to {peer}: {}", Causes(failures))]
    NoEndpoint {
        /// What was to be reached, such as `the scheduler`.
        peer: String,
        /// What was tried, and why that failed.
        failures: Vec<FailedEndpoint>,
    },
}

/// An address that was tried, and why that failed.
#[derive(Debug)]
pub struct FailedEndpoint {
    /// The address, and the IP address if the name has several.
    pub place: String,
    /// Why there is no session.
    pub error: ConnectError,
}

impl FailedEndpoint {
    pub(crate) fn new(place: impl fmt::Display, error: ConnectError) -> Self {
        Self {
            place: place.to_string(),
            error,
        }
    }
}

/// The causes of several failures, in one line.
struct Causes<'a>(&'a [FailedEndpoint]);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, FailedEndpoint { place, error }) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{place}: {}", error.cause())?;
        }
        match self.0.is_empty() {
            true => f.write_str("it has no other address"),
            false => Ok(()),
        }
    }
}

impl ConnectError {
    /// Returns the error of a search: that of its only endpoint, or all of them.
    pub(crate) fn of_endpoints(peer: &str, mut failures: Vec<FailedEndpoint>) -> Self {
        // An address may have several places, as "localhost" has. If all fail alike, they are one for people.
        failures.dedup_by(|next, one| {
            let address = one.error.address();
            let is_alike = address.is_some()
                && address == next.error.address()
                && one.error.cause() == next.error.cause();
            if is_alike && let Some(address) = address {
                one.place = address.to_string();
            }
            is_alike
        });
        match failures.len() {
            1 => failures.swap_remove(0).error,
            _ => Self::NoEndpoint {
                peer: peer.to_owned(),
                failures,
            },
        }
    }

    /// Returns the address that was tried, if it is one and there is such an address.
    fn address(&self) -> Option<&Address> {
        match self {
            Self::WrongFingerprint { address, .. }
            | Self::UnknownService { address }
            | Self::ServiceFailed { address, .. }
            | Self::Refused { address }
            | Self::TimedOut { address, .. }
            | Self::Silent { address, .. }
            | Self::NotTls { address, .. }
            | Self::SpeaksTls { address }
            | Self::Tls { address, .. }
            | Self::Closed { address, .. }
            | Self::Io { address, .. } => Some(address),
            Self::UnknownHost { .. } | Self::NoEndpoint { .. } => None,
        }
    }

    /// Returns what has failed, without the address and without what to do: a part of a list.
    pub fn cause(&self) -> String {
        match self {
            Self::WrongFingerprint { expected, got, .. } => {
                format!("its key does not match the sturdy ref (expected {expected}, got {got})")
            }
            Self::UnknownService { .. } => {
                "it does not know the secret in the sturdy ref".to_owned()
            }
            Self::ServiceFailed { error, .. } => format!("it cannot provide the service: {error}"),
            Self::Refused { .. } => "connection refused".to_owned(),
            Self::TimedOut { seconds, .. } => format!("no answer within {seconds} s"),
            Self::Silent { phase, seconds, .. } => format!(
                "it accepts connections, but does not respond: no answer {phase} within {seconds} s"
            ),
            Self::UnknownHost { source, .. } => format!("unknown host: {source}"),
            Self::NotTls { detail, .. } => format!("it does not speak TLS ({detail})"),
            Self::SpeaksTls { .. } => {
                "it speaks TLS, but the sturdy ref says \"insecure\"".to_owned()
            }
            Self::Tls { source, .. } => format!("the TLS handshake failed: {source}"),
            Self::Closed { error, .. } => {
                format!("it closed the connection before answering: {error}")
            }
            Self::Io { source, .. } => source.to_string(),
            Self::NoEndpoint { failures, .. } => Causes(failures).to_string(),
        }
    }

    /// Returns whether the endpoint has refused the connection, or ended it: it may lead soon, or be behind a proxy that
    /// knows no leader yet.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::NotTls { .. }
            | Self::ServiceFailed { .. }
            | Self::Closed { .. }
            | Self::Io { .. } => true,
            Self::WrongFingerprint { .. }
            | Self::UnknownService { .. }
            | Self::SpeaksTls { .. }
            | Self::TimedOut { .. }
            | Self::Silent { .. }
            | Self::UnknownHost { .. }
            | Self::Tls { .. }
            | Self::NoEndpoint { .. } => false,
        }
    }

    /// Returns whether this server needs another cap file. Other problems pass when a machine or a program is back.
    pub fn needs_another_cap_file(&self) -> bool {
        match self {
            // A scheduler that leads has answered, or no address can be the right one. A stranger at one address does
            // not matter while the others may answer later.
            Self::NoEndpoint { failures, .. } => {
                let is_unknown =
                    |failure: &FailedEndpoint| matches!(failure.error, Self::UnknownService { .. });
                failures.iter().any(is_unknown)
                    || (!failures.is_empty()
                        && failures
                            .iter()
                            .all(|failure| failure.error.needs_another_cap_file()))
            }
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
