//! Sockets without delays, on which a lost peer is detected.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

/// When an unresponsive TCP peer is disconnected.
///
/// With the defaults, after 150 s. Workers are often behind NAT, where a connection can be lost without a packet. An
/// outage of the network of up to 70 s loses no connection (see [`survived_outage`](KeepAlive::survived_outage)): a
/// spanning tree, a reload of a firewall and the migration of a virtual machine take 30 to 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long a connection is idle before the peer is probed.
    pub idle: Duration,
    /// The time between two probes.
    pub interval: Duration,
    /// How many probes may be unanswered. Linux uses `unacknowledged` instead.
    pub count: u32,
    /// How long sent data, or a probe, may be unacknowledged.
    pub unacknowledged: Duration,
}

impl KeepAlive {
    /// The default settings.
    pub const DEFAULT: Self = Self {
        idle: Duration::from_secs(20),
        interval: Duration::from_secs(10),
        count: 13,
        unacknowledged: Duration::from_secs(150),
    };

    /// The longest first interval of retransmissions, as on a congested path around the world.
    const FIRST_INTERVAL: Duration = Duration::from_secs(3);

    /// Returns the longest outage of the network that every connection survives, idle or busy.
    ///
    /// Each retransmission waits twice as long as the one before. If one is lost just before the outage ends, the next
    /// follows after the length of the outage again, and that must not be too late.
    pub fn survived_outage(&self) -> Duration {
        let busy = self.unacknowledged.saturating_sub(Self::FIRST_INTERVAL) / 2;
        // An idle connection may have received nothing for `idle` before the outage, and needs one more probe after it.
        busy.min(
            self.unacknowledged
                .saturating_sub(self.idle + self.interval),
        )
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
    /// Wraps a TCP connection, and sets its options.
    ///
    /// # Errors
    ///
    /// When the system rejects an option.
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

    /// Requests an immediate acknowledgement of the data that comes next.
    ///
    /// Upstream never sets `TCP_NODELAY`, so it delays a small message until the one before is acknowledged, while our
    /// system delays acknowledgements until there is data to send with them. Each exchange would take 40 ms more. The
    /// system resets the option, so it must be set again after each read.
    pub(crate) fn acknowledge_quickly(&self) {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(stream) = self {
            // It is an optimization, so a failure does not matter.
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

/// A byte stream to a peer, with or without TLS, and its socket.
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

    /// Returns the longest time in which a lost peer is not detected.
    fn longest_silence(keep_alive: &KeepAlive) -> Duration {
        let idle = keep_alive.idle + keep_alive.interval * keep_alive.count;
        keep_alive.unacknowledged.max(idle)
    }

    #[test]
    fn an_outage_of_70_s_is_survived_and_a_lost_peer_is_detected() {
        for keep_alive in [
            KeepAlive::default(),
            crate::DialOptions::default().keep_alive,
        ] {
            assert!(keep_alive.survived_outage() >= Duration::from_secs(70));
            assert!(longest_silence(&keep_alive) <= Duration::from_secs(180));
        }
    }

    /// Messages that were being sent when the network failed arrive after the outage. Other limits must not close the
    /// connection before that.
    #[test]
    fn no_limit_is_shorter_than_an_outage() {
        let silence = longest_silence(&KeepAlive::default());
        let limits = crate::Limits::default();
        assert!(limits.incomplete_time > silence);
        assert!(limits.unsent_time > silence);
    }
}
