//! Listening sockets, and what they accept.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::ListenError;
use crate::Address;

/// How many connections may wait to be accepted. All workers reconnect at once when a scheduler restarts.
const BACKLOG: i32 = 1024;

/// A socket that has its address, so that no other program takes that, and does not listen yet: the system refuses who
/// connects.
pub(super) struct BoundSocket {
    socket: socket2::Socket,
    is_tcp: bool,
}

impl BoundSocket {
    /// Opens a socket. Returns it with its address, where the port is known.
    pub(super) fn bind(address: &Address) -> Result<(Self, Address), ListenError> {
        match address {
            Address::Tcp { host, port } => bind_tcp(address, host, *port),
            Address::Unix(path) => Ok((bind_unix(address, path)?, address.clone())),
        }
    }

    pub(super) fn listen(self) -> io::Result<ListeningSocket> {
        self.socket.listen(BACKLOG)?;
        Ok(if self.is_tcp {
            ListeningSocket::Tcp(TcpListener::from_std(self.socket.into())?)
        } else {
            ListeningSocket::Unix(UnixListener::from_std(self.socket.into())?)
        })
    }
}

/// A socket that listens.
pub(super) enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl ListeningSocket {
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Accepted::Tcp(stream, address)
            }
            Self::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
        })
    }
}

fn bind_tcp(
    address: &Address,
    host: &str,
    port: u16,
) -> Result<(BoundSocket, Address), ListenError> {
    let candidates = (host, port)
        .to_socket_addrs()
        .map_err(|source| ListenError::UnknownHost {
            address: address.clone(),
            source,
        })?;
    let mut result = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
    for candidate in candidates {
        result = bind_one(candidate);
        if result.is_ok() {
            break;
        }
    }
    let failed = |source| ListenError::of_io_error(address, source);
    let (socket, port) = result.map_err(failed)?;
    let bound = BoundSocket {
        socket,
        is_tcp: true,
    };
    Ok((bound, Address::tcp(host, port)))
}

/// Returns a socket with an address, and its port.
fn bind_one(address: SocketAddr) -> io::Result<(socket2::Socket, u16)> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    let bound = socket.local_addr()?.as_socket();
    Ok((socket, bound.unwrap_or(address).port()))
}

fn bind_unix(address: &Address, path: &Path) -> Result<BoundSocket, ListenError> {
    let failed = |source| ListenError::of_io_error(address, source);
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(ListenError::InUse(address.clone())),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(failed)?;
            }
            Err(e) => return Err(failed(e)),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(failed(e)),
    }
    let bind = || {
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        Ok(socket)
    };
    Ok(BoundSocket {
        socket: bind().map_err(failed)?,
        is_tcp: false,
    })
}

/// A connection that was accepted.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Accepted {
    /// Returns the peer's address for logs.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Tcp(_, address) => address.to_string(),
            Self::Unix(_) => "a unix socket".to_owned(),
        }
    }

    /// Returns the peer's host; `None` for a unix socket.
    pub(super) fn host(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }
}
