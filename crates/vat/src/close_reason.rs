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
    /// Nothing arrives any more: the peer's machine sleeps or is off, or the network is broken.
    #[error("{0}")]
    Silent(String),
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
            io::ErrorKind::TimedOut => Self::Silent("timed out".to_owned()),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Self::Silent(error.to_string()),
            _ => Self::Lost(error.to_string()),
        }
    }

    /// Returns the exception to send in an Abort; `None` if no Abort is sent.
    pub(crate) fn abort(&self) -> Option<Error> {
        match self {
            Self::ClosedByPeer
            | Self::AbortedByPeer(_)
            | Self::Lost(_)
            | Self::Silent(_)
            | Self::Unused => None,
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
            | Self::Silent(_)
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

    /// Returns whether the peer was lost without a word of it or of its kernel.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Silent(_) | Self::NotReading => true,
            Self::ClosedByPeer
            | Self::AbortedByPeer(_)
            | Self::Lost(_)
            | Self::Violation(_)
            | Self::SpeaksTls
            | Self::TooMuchMemory(_)
            | Self::Unauthenticated(_)
            | Self::Evicted
            | Self::ClosedLocally(_)
            | Self::Unused
            | Self::Panicked => false,
        }
    }

    /// Returns whether operators should see it in the log.
    pub(crate) fn needs_attention(&self) -> bool {
        match self {
            Self::ClosedByPeer
            | Self::Lost(_)
            | Self::Silent(_)
            | Self::ClosedLocally(_)
            | Self::Unused => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_cut_off_fell_silent_and_one_whose_kernel_answers_did_not() {
        let is_silence = |kind: io::ErrorKind| CloseReason::of_io_error(&kind.into()).is_silence();
        assert!(is_silence(io::ErrorKind::TimedOut));
        assert!(is_silence(io::ErrorKind::HostUnreachable));
        assert!(!is_silence(io::ErrorKind::ConnectionReset));
        assert!(!is_silence(io::ErrorKind::UnexpectedEof));
        assert!(!is_silence(io::ErrorKind::BrokenPipe));
    }
}
