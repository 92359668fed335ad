//! The end that dials: connects to the vat in a sturdy ref.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::Client;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::close_reason::CloseReason;
use crate::connect_error::{connect_error, handshake_error, silent, timed_out};
use crate::link::{Link, NewLink, Role, Totals};
use crate::restore::{NoServices, UNKNOWN_SERVICE};
use crate::socket::{Socket, Stream};
use crate::tls;
use crate::{
    Address, Auth, ConnectError, Counters, Fingerprint, Identity, KeepAlive, Limits, Peer, Phase,
    SturdyRef, connection,
};

/// How a dialer treats its peers.
#[derive(Clone, Debug)]
pub struct DialOptions {
    /// How errors call the peer, such as `the scheduler`.
    pub peer_name: String,
    /// How long an address may take to accept the connection. A name may have several addresses.
    pub connect_timeout: Duration,
    /// How long the TLS handshake may take. The first answer after it may take as long again.
    pub handshake_timeout: Duration,
    /// How much the peer may use.
    pub limits: Limits,
    /// When an unresponsive peer is disconnected.
    pub keep_alive: KeepAlive,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            peer_name: "the scheduler".to_owned(),
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(30),
            limits: Limits {
                // A client holds up to three for each of its jobs: the ticket, the promised job, and the job.
                imports: Limits::default().questions,
                ..Limits::default()
            },
            keep_alive: KeepAlive::default(),
        }
    }
}

/// A vat that only dials. Clones are the same vat. Most programs need one dialer, with an ephemeral key.
///
/// Two dialers are two vats. An OCaml scheduler keeps one connection for each key, so a program with several sessions
/// to it at a time must use a dialer for each.
#[derive(Clone)]
pub struct Dialer(Rc<DialerInner>);

struct DialerInner {
    identity: Identity,
    limits: Rc<Limits>,
    options: DialOptions,
    counters: Counters,
    totals: Rc<Totals>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DialerInner {
            identity, options, ..
        } = &*self.0;
        write!(f, "Dialer({identity:?}, {options:?})")
    }
}

impl Dialer {
    /// Returns a vat with a new key.
    pub fn new(options: DialOptions) -> Self {
        Self::with_identity(Identity::ephemeral(), options)
    }

    /// Returns a vat with this key. Programs that run at the same time must not share a key.
    pub fn with_identity(identity: Identity, options: DialOptions) -> Self {
        Self(Rc::new(DialerInner {
            identity,
            limits: Rc::new(options.limits.clone()),
            options,
            counters: Counters::default(),
            totals: Rc::default(),
        }))
    }

    /// Returns the counters of all sessions of this dialer.
    pub fn counters(&self) -> Counters {
        self.0.counters.clone()
    }

    /// Connects, and waits until the server has provided the service.
    ///
    /// Call it within a `LocalSet`: the connection becomes a task there.
    ///
    /// # Errors
    ///
    /// When there is no connection, or the server does not provide the service.
    pub async fn connect(&self, sturdy_ref: &SturdyRef) -> Result<Session, ConnectError> {
        self.connect_with_phase(sturdy_ref, &Cell::default()).await
    }

    /// As [`connect`](Self::connect), and keeps `phase` at what it waits for, so that the program can show it.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with_phase(
        &self,
        sturdy_ref: &SturdyRef,
        phase: &Cell<Phase>,
    ) -> Result<Session, ConnectError> {
        let address = &sturdy_ref.address;
        phase.set(Phase::Connection);
        let socket = self.open(address).await?;
        phase.set(Phase::Handshake);
        let (stream, fingerprint): (Box<dyn Stream>, _) = match sturdy_ref.auth {
            Auth::Insecure => (Box::new(socket), None),
            Auth::Sha256(expected) => {
                let stream = self.handshake(address, socket, expected).await?;
                (Box::new(stream), Some(expected))
            }
        };
        phase.set(Phase::FirstAnswer);
        let (answered, answer) = oneshot::channel();
        let peer_name = &self.0.options.peer_name;
        let link = Link::new(NewLink {
            stream,
            role: Role::Dialer {
                service: sturdy_ref.service.clone(),
                answered: RefCell::new(Some(answered)),
            },
            limits: self.0.limits.clone(),
            counters: self.0.counters.clone(),
            fingerprint,
            label: format!("lost connection to {peer_name} at {address}"),
            address: address.to_string(),
            totals: self.0.totals.clone(),
            inbound: None,
        });
        let client = connection::start(&link, Rc::new(NoServices));
        let session = Session(Rc::new(SessionInner {
            client: client.unwrap_or_else(|| broken(&CloseReason::Unused, &link)),
            link,
            address: address.clone(),
        }));
        let limit = self.0.options.handshake_timeout;
        match timeout(limit, answer).await {
            Ok(Ok(Ok(()))) => Ok(session),
            Ok(Ok(Err(error))) if error.extra == UNKNOWN_SERVICE => {
                Err(ConnectError::UnknownService {
                    address: address.clone(),
                })
            }
            Ok(Ok(Err(error))) => Err(ConnectError::ServiceFailed {
                address: address.clone(),
                error,
            }),
            Ok(Err(_)) => Err(session.early_close_error()),
            Err(_) => Err(silent(address, Phase::FirstAnswer, limit)),
        }
    }

    async fn open(&self, address: &Address) -> Result<Socket, ConnectError> {
        let options = &self.0.options;
        let limit = options.connect_timeout;
        match address {
            Address::Unix(path) => {
                let stream = timeout(limit, UnixStream::connect(path))
                    .await
                    .map_err(|_| timed_out(address, limit))?
                    .map_err(|e| connect_error(address, e))?;
                Ok(Socket::Unix(stream))
            }
            Address::Tcp { host, port } => {
                let mut result = Err(ConnectError::UnknownHost {
                    host: host.clone(),
                    source: io::Error::from(io::ErrorKind::NotFound),
                });
                for candidate in resolve(host, *port).await? {
                    result = match timeout(limit, TcpStream::connect(candidate)).await {
                        Ok(Ok(stream)) => Socket::tcp(stream, &options.keep_alive)
                            .map_err(|e| connect_error(address, e)),
                        Ok(Err(e)) => Err(connect_error(address, e)),
                        Err(_) => Err(timed_out(address, limit)),
                    };
                    if result.is_ok() {
                        break;
                    }
                }
                result
            }
        }
    }

    async fn handshake(
        &self,
        address: &Address,
        socket: Socket,
        expected: Fingerprint,
    ) -> Result<tokio_rustls::client::TlsStream<Socket>, ConnectError> {
        let config = tls::client_config(&self.0.identity, expected)
            .map_err(|e| handshake_error(address, io::Error::other(e)))?;
        // The name is not checked.
        let name = ServerName::from(std::net::Ipv4Addr::LOCALHOST);
        let limit = self.0.options.handshake_timeout;
        timeout(limit, TlsConnector::from(config).connect(name, socket))
            .await
            .map_err(|_| silent(address, Phase::Handshake, limit))?
            .map_err(|e| handshake_error(address, e))
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(source) => Err(ConnectError::UnknownHost {
            host: host.to_owned(),
            source,
        }),
    }
}

fn broken(reason: &CloseReason, link: &Link) -> Client {
    capnp_rpc::new_broken_cap(link.exception(reason))
}

/// One connection, and the capability of the sturdy ref on it. Clones are the same session.
///
/// The connection is closed when all clones, and all capabilities that came through it, were dropped.
#[derive(Clone)]
pub struct Session(Rc<SessionInner>);

struct SessionInner {
    client: Client,
    link: Rc<Link>,
    address: Address,
}

impl Drop for SessionInner {
    fn drop(&mut self) {
        self.link.release_handle();
    }
}

impl Session {
    /// Returns the capability that the sturdy ref names.
    pub fn bootstrap(&self) -> Client {
        self.0.client.clone()
    }

    /// Returns the address of the peer.
    pub fn address(&self) -> Address {
        self.0.address.clone()
    }

    /// Waits until the connection has ended. Returns the exception that all capabilities that came through it break
    /// with.
    pub fn closed(&self) -> impl Future<Output = capnp::Error> + 'static {
        self.0.link.closed()
    }

    /// Returns the other end of the connection.
    pub fn peer(&self) -> Peer {
        Peer::new(self.0.link.clone())
    }

    /// Closes the connection, even if capabilities that came through it are still held. The peer gets the reason.
    pub fn close(&self, reason: impl Into<String>) {
        self.peer().close(reason);
    }

    /// Returns why the connection has ended before the first answer.
    fn early_close_error(&self) -> ConnectError {
        let address = self.address();
        match self.0.link.close_reason() {
            Some(CloseReason::SpeaksTls) => ConnectError::SpeaksTls { address },
            reason => {
                let reason = reason.unwrap_or(CloseReason::ClosedByPeer);
                ConnectError::Closed {
                    address,
                    error: self.0.link.exception(&reason),
                }
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.0.address)
    }
}
