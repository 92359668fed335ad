//! The end that others connect to.
//!
//! Several connections with the same key are all served. Upstream keeps one connection for each key, and which one
//! depends on the order of the two keys' digests, so a program can be locked out when it reconnects before its old
//! connection is known to be dead. Upstream's clients work with a server that accepts all connections.

mod error;
mod server;
mod socket;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

pub use self::error::ListenError;
use self::socket::{BoundSocket, ListeningSocket};
use crate::link::{Link, Links};
use crate::{Address, Counters, Identity, KeepAlive, Limits, Restore, tls};

/// Whether a listener uses TLS, and with which key.
#[derive(Clone, Debug)]
pub enum Security {
    /// TLS with the key of this identity.
    Tls(Identity),
    /// Neither encryption nor authentication: for a network that is protected in another way.
    Plaintext,
}

/// How a listener treats its peers.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// How much a peer may use.
    pub limits: Limits,
    /// How long the TLS handshake may take.
    pub handshake_timeout: Duration,
    /// When an unresponsive peer is disconnected.
    pub keep_alive: KeepAlive,
    /// The most peers at a time that have not named a service. When there are so many, further ones wait, and the
    /// oldest is disconnected once it has been connected for a second.
    pub max_unauthenticated: usize,
    /// The same limit for one host, or one /64 network of IPv6. When it has so many, a further one takes the place of
    /// its oldest if that has been connected for a second, and is rejected otherwise.
    pub max_unauthenticated_per_host: usize,
    /// How long a peer may take to name a service.
    pub authentication_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(10),
            keep_alive: KeepAlive::default(),
            max_unauthenticated: 512,
            max_unauthenticated_per_host: 384,
            authentication_timeout: Duration::from_secs(30),
        }
    }
}

/// An address that this process has for itself, where it does not listen yet: who connects is refused at once, and can
/// go on to another address.
pub struct BoundAddress {
    socket: BoundSocket,
    address: Address,
    acceptor: Option<TlsAcceptor>,
}

impl BoundAddress {
    /// Opens a socket, which does not listen.
    ///
    /// A socket that another program has left at a unix path is replaced, unless a program still accepts connections
    /// there.
    ///
    /// # Errors
    ///
    /// When the address is in use or unknown, or the key cannot be used.
    pub fn bind(address: &Address, security: Security) -> Result<Self, ListenError> {
        let acceptor = match security {
            Security::Tls(identity) => Some(acceptor(&identity)?),
            Security::Plaintext => None,
        };
        let (socket, address) = BoundSocket::bind(address)?;
        Ok(Self {
            socket,
            address,
            acceptor,
        })
    }

    /// Returns the address, with the real port if the system has chosen one.
    pub fn local_address(&self) -> &Address {
        &self.address
    }

    /// Accepts connections from now on. Call it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When another program listens there meanwhile.
    pub fn listen(self) -> Result<Listener, ListenError> {
        let Self {
            socket,
            address,
            acceptor,
        } = self;
        let socket = socket.listen();
        Ok(Listener {
            socket: socket.map_err(|error| ListenError::of_io_error(&address, error))?,
            address,
            acceptor,
            counters: Counters::default(),
            connections: Connections::default(),
        })
    }
}

/// A socket that others can connect to.
pub struct Listener {
    socket: ListeningSocket,
    address: Address,
    acceptor: Option<TlsAcceptor>,
    counters: Counters,
    connections: Connections,
}

impl Listener {
    /// Opens a socket that listens. Call it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// As for [`BoundAddress::bind`].
    pub fn bind(address: &Address, security: Security) -> Result<Self, ListenError> {
        BoundAddress::bind(address, security)?.listen()
    }

    /// Returns the address, with the real port if the system has chosen one.
    pub fn local_address(&self) -> Address {
        self.address.clone()
    }

    /// Returns the counters of all connections through this listener.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Returns the connections through this listener.
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Serves all peers that connect. It never returns; dropping it closes all connections.
    ///
    /// Call it within a `LocalSet`: each connection becomes a task there.
    pub async fn serve(self, services: Rc<dyn Restore>, options: ServeOptions) {
        server::serve(self, services, options).await;
    }
}

fn acceptor(identity: &Identity) -> Result<TlsAcceptor, ListenError> {
    let config: Arc<ServerConfig> = tls::server_config(identity).map_err(ListenError::Tls)?;
    Ok(TlsAcceptor::from(config))
}

/// The connections through a listener at any time. Clones share them.
#[derive(Clone, Default)]
pub struct Connections(Links);

impl Connections {
    /// Waits until all messages to all peers are handed to the system.
    ///
    /// A peer may never read, so use a timeout, as with [`Peer::flushed`](crate::Peer::flushed).
    pub async fn flushed(&self) {
        let flushed: Vec<_> = self.0.borrow().values().map(Link::flushed).collect();
        futures::future::join_all(flushed).await;
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({})", self.0.borrow().len())
    }
}
