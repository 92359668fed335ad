//! Sockets as vats want them: no delays, and silent deaths noticed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

/// When a TCP peer that has gone silently is given up.
///
/// With the defaults, after 150 s: workers sit behind NAT, where a peer can vanish without a word. A network that drops all
/// packets for up to 70 s loses no connection (see [`survived_outage`](KeepAlive::survived_outage)): a spanning tree, a
/// firewall that reloads and a virtual machine that moves take 30 to 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long a connection may be idle before the peer is probed.
    pub idle: Duration,
    /// How long after a probe the next one follows.
    pub interval: Duration,
    /// How many probes may stay unanswered. Linux takes `unacknowledged` in its place.
    pub count: u32,
    /// How long data that was sent, or a probe, may stay unacknowledged.
    pub unacknowledged: Duration,
}

impl KeepAlive {
    /// What connections have unless they are told otherwise.
    pub const DEFAULT: Self = Self {
        idle: Duration::from_secs(20),
        interval: Duration::from_secs(10),
        count: 13,
        unacknowledged: Duration::from_secs(150),
    };

    /// The longest first interval of retransmissions: on a path around the world that is crowded.
    const FIRST_INTERVAL: Duration = Duration::from_secs(3);

    /// Returns the longest outage of the network after which a connection goes on, whatever it was doing.
    ///
    /// Each retransmission waits twice as long as the one before. One that is lost just before the network is back is
    /// repeated after as long again as the outage took, and that must not be too late.
    pub fn survived_outage(&self) -> Duration {
        let busy = self.unacknowledged.saturating_sub(Self::FIRST_INTERVAL) / 2;
        // An idle one has heard nothing for up to `idle` before, and needs one more probe after it.
        busy.min(
            self.unacknowledged
                .saturating_sub(self.idle + self.interval),
        )
    }

    /// Returns the longest that a silent death can go unnoticed.
    pub fn longest_silence(&self) -> Duration {
        self.unacknowledged
            .max(self.idle + self.interval * self.count)
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One connected socket of either kind.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Wraps a TCP connection, and sets it up.
    pub(crate) fn tcp(stream: TcpStream, keep_alive: &KeepAlive) -> io::Result<Self> {
        let socket = SockRef::from(&stream);
        socket.set_tcp_nodelay(true)?;
        let probes = TcpKeepalive::new()
            .with_time(keep_alive.idle)
            .with_interval(keep_alive.interval)
            .with_retries(keep_alive.count);
        socket.set_tcp_keepalive(&probes)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(keep_alive.unacknowledged))?;
        Ok(Self::Tcp(stream))
    }

    /// Asks the system to acknowledge what comes next at once.
    ///
    /// Upstream never sets `TCP_NODELAY`, so it holds back small messages until the last one is acknowledged, while our
    /// system holds back acknowledgements in the hope of data to send them with: 40 ms lost at each exchange. The
    /// setting wears off, so it has to be renewed after reading.
    pub(crate) fn acknowledge_quickly(&self) {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(stream) = self {
            // It only makes things faster, so there is nothing to do if it fails.
            SockRef::from(stream).set_tcp_quickack(true).unwrap_or(());
        }
    }
}

macro_rules! on_socket {
    ($self:expr, $socket:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($socket) => $call,
            Self::Unix($socket) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_socket!(self, socket => Pin::new(socket).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self, socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self, socket => Pin::new(socket).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}

/// A byte stream to a peer, with or without TLS, that knows its socket.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn socket(&self) -> &Socket;
}

impl Stream for Socket {
    fn socket(&self) -> &Socket {
        self
    }
}

impl Stream for client::TlsStream<Socket> {
    fn socket(&self) -> &Socket {
        self.get_ref().0
    }
}

impl Stream for server::TlsStream<Socket> {
    fn socket(&self) -> &Socket {
        self.get_ref().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_seventy_seconds_is_survived_and_a_silent_death_noticed() {
        let keep_alive = KeepAlive::default();
        assert!(keep_alive.survived_outage() >= Duration::from_secs(70));
        assert!(keep_alive.longest_silence() <= Duration::from_secs(180));
    }

    /// What is half sent when the network fails arrives when it is back: other limits must not end the connection before.
    #[test]
    fn no_limit_is_shorter_than_an_outage() {
        let silence = KeepAlive::default().longest_silence();
        let limits = crate::Limits::default();
        assert!(limits.incomplete_time > silence);
        assert!(limits.unsent_time > silence);
    }
}
