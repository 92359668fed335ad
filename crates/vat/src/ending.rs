//! Why a connection ends, and what each side is told about it.

use std::io;

use capnp::Error;

use crate::frame::FrameError;

/// Why a connection has ended, or is about to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ending {
    #[error("closed by the other side")]
    ClosedByPeer,
    #[error("aborted by the other side: {0}")]
    AbortedByPeer(String),
    #[error("{0}")]
    Lost(String),
    /// The peer broke a rule.
    #[error("{0}")]
    Violation(String),
    /// The peer speaks TLS, and we don't, or not yet another layer of it.
    #[error("the other side speaks TLS")]
    SpeaksTls,
    #[error("the other side did not read what was sent to it")]
    NotReading,
    /// It made us hold more for it than there is room for.
    #[error("{0}")]
    Hoarding(String),
    /// It has not named a service in time.
    #[error("it named no service within {} s", .0.as_secs_f32())]
    NoService(std::time::Duration),
    /// It has not named a service, and others need its place.
    #[error("it had named no service when others needed its place")]
    Evicted,
    #[error("{0}")]
    ClosedHere(String),
    /// Nobody here holds anything of the connection.
    #[error("no longer needed")]
    Unused,
    #[error("internal error")]
    Panicked,
}

impl Ending {
    pub(crate) fn of_io_error(error: &io::Error) -> Self {
        match error.kind() {
            // Upstream closes without TLS's good-bye, too.
            io::ErrorKind::UnexpectedEof => Self::ClosedByPeer,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Lost("reset by the other side".to_owned())
            }
            io::ErrorKind::TimedOut => {
                Self::Lost("the other side has not answered for too long".to_owned())
            }
            _ => Self::Lost(error.to_string()),
        }
    }

    /// Returns the exception that tells the peer, if it should be told.
    pub(crate) fn abort(&self) -> Option<Error> {
        match self {
            Self::ClosedByPeer | Self::AbortedByPeer(_) | Self::Lost(_) | Self::Unused => None,
            Self::Violation(_)
            | Self::SpeaksTls
            | Self::NotReading
            | Self::Hoarding(_)
            | Self::NoService(_)
            | Self::Evicted
            | Self::Panicked => Some(Error::failed(self.to_string())),
            Self::ClosedHere(_) => Some(Error::disconnected(self.to_string())),
        }
    }

    /// Returns whether the peer may still read what we have to say, if only that the stream ends.
    pub(crate) fn peer_may_listen(&self) -> bool {
        match self {
            Self::ClosedByPeer
            | Self::Lost(_)
            | Self::NotReading
            | Self::Hoarding(_)
            | Self::Evicted => false,
            Self::AbortedByPeer(_)
            | Self::NoService(_)
            | Self::Violation(_)
            | Self::SpeaksTls
            | Self::ClosedHere(_)
            | Self::Unused
            | Self::Panicked => true,
        }
    }

    /// Returns whether an operator should hear of it.
    pub(crate) fn is_remarkable(&self) -> bool {
        match self {
            Self::ClosedByPeer | Self::Lost(_) | Self::ClosedHere(_) | Self::Unused => false,
            Self::AbortedByPeer(_)
            | Self::Violation(_)
            | Self::SpeaksTls
            | Self::NotReading
            | Self::Hoarding(_)
            | Self::NoService(_)
            | Self::Evicted
            | Self::Panicked => true,
        }
    }
}

impl From<FrameError> for Ending {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Tls => Self::SpeaksTls,
            error => Self::Violation(error.to_string()),
        }
    }
}
