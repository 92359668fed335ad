//! The phases in which a connection is made.

use std::fmt;

/// What a dialer is waiting for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The server to accept the connection.
    #[default]
    Connection,
    /// An answer to the TLS handshake.
    Handshake,
    /// The answer to the first question, which asks for the service.
    FirstAnswer,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "to the connection",
            Self::Handshake => "to the TLS handshake",
            Self::FirstAnswer => "to the first question",
        })
    }
}
