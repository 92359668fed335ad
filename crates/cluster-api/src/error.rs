//! The errors of calls: Cap'n Proto's four kinds of exception, each with a reason for people.

use std::fmt;

use visible::OneLine;

/// The prefix that the transport adds to the reason of an exception for each connection.
const REMOTE_PREFIX: &str = "remote exception: ";

/// The error of a call.
///
/// The caller gets the error that the served method returned, however many vats are between them. It is shown on one
/// line, as `Failed: Build failed`. The reason comes from another machine, so invisible characters in it are escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {}", OneLine(.reason.trim_end()))]
pub struct RpcError {
    /// The kind of error, which decides what the caller can do.
    pub kind: RpcErrorKind,
    /// The reason, for people.
    pub reason: String,
}

/// The kind of an error. A program should decide by the kind alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RpcErrorKind {
    /// The call failed, and would fail again.
    Failed,
    /// The object is overloaded. The same call may work later.
    Overloaded,
    /// The connection to the object was lost.
    Disconnected,
    /// The object does not know this interface or method.
    Unimplemented,
}

impl RpcError {
    /// Returns an error of kind [`RpcErrorKind::Failed`].
    pub fn failed(reason: impl Into<String>) -> Self {
        Self {
            kind: RpcErrorKind::Failed,
            reason: reason.into(),
        }
    }

    /// Returns an error of kind [`RpcErrorKind::Overloaded`].
    pub fn overloaded(reason: impl Into<String>) -> Self {
        Self {
            kind: RpcErrorKind::Overloaded,
            reason: reason.into(),
        }
    }

    /// Returns an error of kind [`RpcErrorKind::Disconnected`].
    pub fn disconnected(reason: impl Into<String>) -> Self {
        Self {
            kind: RpcErrorKind::Disconnected,
            reason: reason.into(),
        }
    }

    /// Returns an error of kind [`RpcErrorKind::Unimplemented`].
    pub fn unimplemented(reason: impl Into<String>) -> Self {
        Self {
            kind: RpcErrorKind::Unimplemented,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for RpcErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "Failed",
            Self::Overloaded => "Overloaded",
            Self::Disconnected => "Disconnected",
            Self::Unimplemented => "Unimplemented",
        })
    }
}

impl From<capnp::Error> for RpcError {
    fn from(error: capnp::Error) -> Self {
        let kind = match error.kind {
            capnp::ErrorKind::Failed => RpcErrorKind::Failed,
            capnp::ErrorKind::Overloaded => RpcErrorKind::Overloaded,
            capnp::ErrorKind::Disconnected => RpcErrorKind::Disconnected,
            capnp::ErrorKind::Unimplemented => RpcErrorKind::Unimplemented,
            // A malformed message. The kind describes the problem, so it is part of the reason.
            _ => return Self::failed(error.to_string()),
        };
        let mut reason = error.extra.as_str();
        while let Some(inner) = reason.strip_prefix(REMOTE_PREFIX) {
            reason = inner;
        }
        Self {
            kind,
            reason: reason.to_owned(),
        }
    }
}

impl From<RpcError> for capnp::Error {
    fn from(error: RpcError) -> Self {
        match error.kind {
            RpcErrorKind::Failed => Self::failed(error.reason),
            RpcErrorKind::Overloaded => Self::overloaded(error.reason),
            RpcErrorKind::Disconnected => Self::disconnected(error.reason),
            RpcErrorKind::Unimplemented => Self::unimplemented(error.reason),
        }
    }
}
