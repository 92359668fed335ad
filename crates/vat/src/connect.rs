//! Connecting to the vat that a sturdy ref names.

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

use crate::connect_error::{connect_error, handshake_error, silent, timed_out};
use crate::ending::Ending;
use crate::link::{Link, NewLink, Role, Totals};
use crate::restore::{NoServices, UNKNOWN_SERVICE};
use crate::socket::{Socket, Stream};
use crate::tls;
use crate::{
    Address, Auth, ConnectError, Counters, Fingerprint, Identity, KeepAlive, Limits, Peer, Phase,
    SturdyRef, connection,
};

/// How a dialer treats those it connects to.
#[derive(Clone, Debug)]
pub struct DialOptions {
    /// What to call the other side in errors, e.g. `the scheduler`.
    pub peer_name: String,
    /// How long one address may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long the TLS handshake may take, and the first answer after it.
    pub handshake_timeout: Duration,
    /// How much the other side may use.
    pub limits: Limits,
    /// When a silent peer is given up.
    pub keep_alive: KeepAlive,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            peer_name: "the scheduler".to_owned(),
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(30),
            limits: Limits {
                // For each job that a client waits for it has up to three: the ticket, the job, and what that has become.
                imports: Limits::default().questions,
                ..Limits::default()
            },
            keep_alive: KeepAlive::default(),
        }
    }
}

/// A vat that only connects. It has one ephemeral key; a program needs one dialer.
///
/// Two dialers are two vats: to an OCaml scheduler, which keeps one connection for each key, a program with several
/// sessions at a time must use a dialer for each.
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

    /// Returns a vat with this key. Programs that run at the same time must not share one.
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
    /// Must be called within a `LocalSet`, as the connection becomes a task of its own there.
    pub async fn connect(&self, sturdy_ref: &SturdyRef) -> Result<Session, ConnectError> {
        self.connect_noting(sturdy_ref, &Cell::default()).await
    }

    /// As [`connect`](Self::connect), and keeps in `phase` what it waits for, to be shown to whoever waits too.
    pub async fn connect_noting(
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
                let stream = self.shake_hands(address, socket, expected).await?;
                (Box::new(stream), Some(expected))
            }
        };
        phase.set(Phase::FirstAnswer);
        let (answered, answer) = oneshot::channel();
        let peer_name = &self.0.options.peer_name;
        let link = Link::new(NewLink {
            stream,
            role: Role::Using {
                service: sturdy_ref.service.clone(),
                answered: RefCell::new(Some(answered)),
            },
            limits: self.0.limits.clone(),
            counters: self.0.counters.clone(),
            fingerprint,
            label: format!("lost connection to {peer_name} at {address}"),
            address: address.to_string(),
            totals: self.0.totals.clone(),
            guest: None,
        });
        let client = connection::start(&link, Rc::new(NoServices));
        let session = Session(Rc::new(Held {
            client: client.unwrap_or_else(|| broken(Ending::Unused, &link)),
            link,
            address: address.clone(),
        }));
        let patience = self.0.options.handshake_timeout;
        match timeout(patience, answer).await {
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
            Ok(Err(_)) => Err(session.ended_early()),
            Err(_) => Err(silent(address, Phase::FirstAnswer, patience)),
        }
    }

    async fn open(&self, address: &Address) -> Result<Socket, ConnectError> {
        let options = &self.0.options;
        let patience = options.connect_timeout;
        match address {
            Address::Unix(path) => {
                let stream = timeout(patience, UnixStream::connect(path))
                    .await
                    .map_err(|_| timed_out(address, patience))?
                    .map_err(|e| connect_error(address, e))?;
                Ok(Socket::Unix(stream))
            }
            Address::Tcp { host, port } => {
                let mut result = Err(ConnectError::UnknownHost {
                    host: host.clone(),
                    source: io::Error::from(io::ErrorKind::NotFound),
                });
                for candidate in resolve(host, *port).await? {
                    result = match timeout(patience, TcpStream::connect(candidate)).await {
                        Ok(Ok(stream)) => Socket::tcp(stream, &options.keep_alive)
                            .map_err(|e| connect_error(address, e)),
                        Ok(Err(e)) => Err(connect_error(address, e)),
                        Err(_) => Err(timed_out(address, patience)),
                    };
                    if result.is_ok() {
                        break;
                    }
                }
                result
            }
        }
    }

    async fn shake_hands(
        &self,
        address: &Address,
        socket: Socket,
        expected: Fingerprint,
    ) -> Result<tokio_rustls::client::TlsStream<Socket>, ConnectError> {
        let config = tls::client_config(&self.0.identity, expected)
            .map_err(|e| handshake_error(address, io::Error::other(e)))?;
        // Nobody looks at the name.
        let name = ServerName::from(std::net::Ipv4Addr::LOCALHOST);
        let patience = self.0.options.handshake_timeout;
        timeout(patience, TlsConnector::from(config).connect(name, socket))
            .await
            .map_err(|_| silent(address, Phase::Handshake, patience))?
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

fn broken(ending: Ending, link: &Link) -> Client {
    capnp_rpc::new_broken_cap(link.exception(&ending))
}

/// One connection, and the capability of the sturdy ref on it; a clone is the same session.
///
/// The connection is closed when the last clone, and the last capability that has come through it, have been dropped.
#[derive(Clone)]
pub struct Session(Rc<Held>);

struct Held {
    client: Client,
    link: Rc<Link>,
    address: Address,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.link.let_go();
    }
}

impl Session {
    /// Returns the capability that the sturdy ref names.
    pub fn bootstrap(&self) -> Client {
        self.0.client.clone()
    }

    /// Returns where it is connected to.
    pub fn address(&self) -> Address {
        self.0.address.clone()
    }

    /// Waits until the connection has ended, and returns what all that came through it is broken with.
    pub fn closed(&self) -> impl Future<Output = capnp::Error> + 'static {
        self.0.link.ended()
    }

    /// Returns the connection itself, e.g. to give it another name in errors.
    pub fn peer(&self) -> Peer {
        Peer::new(self.0.link.clone())
    }

    /// Closes the connection, whoever still holds something of it.
    pub fn close(&self, reason: impl Into<String>) {
        self.peer().close(reason);
    }

    /// Returns why the connection has ended before the first answer.
    fn ended_early(&self) -> ConnectError {
        let address = self.address();
        match self.0.link.ending() {
            Some(Ending::SpeaksTls) => ConnectError::SpeaksTls { address },
            ending => ConnectError::Closed {
                address,
                error: self
                    .0
                    .link
                    .exception(&ending.unwrap_or(Ending::ClosedByPeer)),
            },
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.0.address)
    }
}
