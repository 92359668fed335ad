//! Why a call failed: Cap'n Proto's four kinds of exception, and a reason for people.

use std::fmt;

use visible::OneLine;

/// What the transport puts before the reason of an exception each time it crosses a connection.
const REMOTE_PREFIX: &str = "remote exception: ";

/// The error that a call ended with.
///
/// It means the same on both sides of a connection: what a served method returns is what the caller
/// gets, however many vats the answer went through. Shown as `Failed: Build failed`, on one line: the reason comes from another
/// machine, and what cannot be seen in it is escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {}", OneLine(.reason.trim_end()))]
pub struct RpcError {
    /// What the caller can do about it.
    pub kind: RpcErrorKind,
    /// What went wrong, for people.
    pub reason: String,
}

/// What sort of error it is, which is all that a program should decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RpcErrorKind {
    /// Something went wrong, and would again.
    Failed,
    /// There was too much to do; the same call may work later.
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
            // A malformed message. The kind says what is wrong with it, so it belongs in the
            // reason.
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
