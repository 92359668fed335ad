//! Why a connection is closed, and what the peer and the operator learn of it.

use std::io;
use std::time::Duration;

use capnp::Error;

use crate::frame::FrameError;

/// Why a connection was closed, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CloseReason {
    #[error("closed by the other side")]
    ClosedByPeer,
    #[error("aborted by the other side: {0}")]
    AbortedByPeer(String),
    #[error("{0}")]
    Lost(String),
    /// The peer broke a rule of the protocol.
    #[error("{0}")]
    Violation(String),
    /// The peer speaks TLS, and we do not, or it wraps TLS in TLS.
    #[error("the other side speaks TLS")]
    SpeaksTls,
    #[error("the other side did not read what was sent to it")]
    NotReading,
    /// The data kept for this peer exceeds a limit.
    #[error("{0}")]
    TooMuchMemory(String),
    /// The peer has not named a service in time.
    #[error("not authenticated within {} s", .0.as_secs_f32())]
    Unauthenticated(Duration),
    /// The peer has not named a service, and other peers wait to connect.
    #[error("not authenticated, and closed to make room for other connections")]
    Evicted,
    #[error("{0}")]
    ClosedLocally(String),
    /// The application holds nothing of the connection any more.
    #[error("no longer needed")]
    Unused,
    #[error("internal error")]
    Panicked,
}

impl CloseReason {
    pub(crate) fn of_io_error(error: &io::Error) -> Self {
        match error.kind() {
            // Upstream, too, closes without TLS's close_notify.
            io::ErrorKind::UnexpectedEof => Self::ClosedByPeer,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Lost("reset by the other side".to_owned())
            }
            io::ErrorKind::TimedOut => Self::Lost("timed out".to_owned()),
            _ => Self::Lost(error.to_string()),
        }
    }

    /// Returns the exception to send in an Abort; `None` if no Abort is sent.
    pub(crate) fn abort(&self) -> Option<Error> {
        match self {
            Self::ClosedByPeer | Self::AbortedByPeer(_) | Self::Lost(_) | Self::Unused => None,
            Self::Violation(_)
            | Self::SpeaksTls
            | Self::NotReading
            | Self::TooMuchMemory(_)
            | Self::Unauthenticated(_)
            | Self::Evicted
            | Self::Panicked => Some(Error::failed(self.to_string())),
            Self::ClosedLocally(_) => Some(Error::disconnected(self.to_string())),
        }
    }

    /// Returns whether the peer may still read what is sent to it, if only the end of the stream.
    pub(crate) fn peer_may_read(&self) -> bool {
        match self {
            Self::ClosedByPeer
            | Self::Lost(_)
            | Self::NotReading
            | Self::TooMuchMemory(_)
            | Self::Evicted => false,
            Self::AbortedByPeer(_)
            | Self::Unauthenticated(_)
            | Self::Violation(_)
            | Self::SpeaksTls
            | Self::ClosedLocally(_)
            | Self::Unused
            | Self::Panicked => true,
        }
    }

    /// Returns whether operators should see it in the log.
    pub(crate) fn needs_attention(&self) -> bool {
        match self {
            Self::ClosedByPeer | Self::Lost(_) | Self::ClosedLocally(_) | Self::Unused => false,
            Self::AbortedByPeer(_)
            | Self::Violation(_)
            | Self::SpeaksTls
            | Self::NotReading
            | Self::TooMuchMemory(_)
            | Self::Unauthenticated(_)
            | Self::Evicted
            | Self::Panicked => true,
        }
    }
}

impl From<FrameError> for CloseReason {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Tls => Self::SpeaksTls,
            error => Self::Violation(error.to_string()),
        }
    }
}
