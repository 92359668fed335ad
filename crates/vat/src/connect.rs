//! Connecting to the vat that a sturdy ref names.

use std::cell::RefCell;
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

use crate::ending::Ending;
use crate::link::{Link, NewLink, Role};
use crate::restore::{NoServices, UNKNOWN_SERVICE};
use crate::socket::{Socket, Stream};
use crate::tls::{self, WrongKey};
use crate::{
    Address, Auth, Counters, Fingerprint, Identity, KeepAlive, Limits, Peer, SturdyRef, connection,
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
            limits: Limits::default(),
            keep_alive: KeepAlive::default(),
        }
    }
}

/// Why there is no session. Each text says what to check.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Somebody else answers at the address.
    #[error(
        "{address} has another key than the sturdy ref says (expected {expected}, got {got}): \
         check that the cap file is of this server and not older than its key"
    )]
    WrongFingerprint {
        /// Where.
        address: Address,
        /// The key in the sturdy ref.
        expected: Fingerprint,
        /// The key that was shown.
        got: Fingerprint,
    },
    /// The server does not know the service id.
    #[error(
        "{UNKNOWN_SERVICE}: {address} does not know the secret in the sturdy ref: check that the cap file is \
         current and its access has not been removed"
    )]
    UnknownService {
        /// Where.
        address: Address,
    },
    /// The server knows the service, but could not provide it.
    #[error("{address} cannot provide the service: {error}")]
    ServiceFailed {
        /// Where.
        address: Address,
        /// What the server says.
        error: capnp::Error,
    },
    /// Nobody listens there.
    #[error("connection to {address} refused: check that the server is running and listens there")]
    Refused {
        /// Where.
        address: Address,
    },
    /// There is no answer.
    #[error(
        "no answer from {address} {during} within {seconds} s: check the network, firewalls, and whether the \
         server is stopped"
    )]
    TimedOut {
        /// Where.
        address: Address,
        /// What was waited for.
        during: &'static str,
        /// How long was waited.
        seconds: f32,
    },
    /// The name has no address.
    #[error("unknown host {host:?}: check the name in the sturdy ref, and the resolver ({source})")]
    UnknownHost {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The sturdy ref says TLS, and the server does not speak it.
    #[error(
        "{address} does not speak TLS ({detail}): check the port, and whether the server was started with TLS \
         disabled (its cap files start with capnp://insecure@ then)"
    )]
    NotTls {
        /// Where.
        address: Address,
        /// What happened.
        detail: String,
    },
    /// The sturdy ref says `insecure`, and the server speaks TLS.
    #[error(
        "{address} speaks TLS, but the sturdy ref says \"insecure\": use the server's current cap file \
         (it starts with capnp://sha-256:)"
    )]
    SpeaksTls {
        /// Where.
        address: Address,
    },
    /// The TLS handshake failed in another way.
    #[error("TLS connection to {address} failed: {source}")]
    Tls {
        /// Where.
        address: Address,
        /// What went wrong.
        source: io::Error,
    },
    /// The connection was made, but lost before the server had answered.
    #[error("{address} closed the connection before answering: {error}")]
    Closed {
        /// Where.
        address: Address,
        /// What went wrong.
        error: capnp::Error,
    },
    /// The system could not connect.
    #[error("connection to {address} failed: {source}")]
    Io {
        /// Where.
        address: Address,
        /// What went wrong.
        source: io::Error,
    },
}

/// A vat that only connects. It has one ephemeral key; a program needs one dialer.
///
/// Two dialers are two vats: to an OCaml scheduler, which keeps one connection for each key, a program with several
/// sessions at a time must use a dialer for each.
#[derive(Clone, Debug)]
pub struct Dialer(Rc<DialerInner>);

#[derive(Debug)]
struct DialerInner {
    identity: Identity,
    limits: Rc<Limits>,
    options: DialOptions,
    counters: Counters,
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
        let address = &sturdy_ref.address;
        let socket = self.open(address).await?;
        let (stream, fingerprint): (Box<dyn Stream>, _) = match sturdy_ref.auth {
            Auth::Insecure => (Box::new(socket), None),
            Auth::Sha256(expected) => {
                let stream = self.shake_hands(address, socket, expected).await?;
                (Box::new(stream), Some(expected))
            }
        };
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
            Err(_) => Err(timed_out(address, "for the first question", patience)),
        }
    }

    async fn open(&self, address: &Address) -> Result<Socket, ConnectError> {
        let options = &self.0.options;
        let patience = options.connect_timeout;
        match address {
            Address::Unix(path) => {
                let stream = timeout(patience, UnixStream::connect(path))
                    .await
                    .map_err(|_| timed_out(address, "to the connection", patience))?
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
                        Err(_) => Err(timed_out(address, "to the connection", patience)),
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
            .map_err(|_| timed_out(address, "to the TLS handshake", patience))?
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

fn timed_out(address: &Address, during: &'static str, patience: Duration) -> ConnectError {
    ConnectError::TimedOut {
        address: address.clone(),
        during,
        seconds: patience.as_secs_f32(),
    }
}

fn connect_error(address: &Address, source: io::Error) -> ConnectError {
    let address = address.clone();
    match source.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            ConnectError::Refused { address }
        }
        _ => ConnectError::Io { address, source },
    }
}

fn handshake_error(address: &Address, error: io::Error) -> ConnectError {
    let address = address.clone();
    let cause = error.get_ref().and_then(|e| e.downcast_ref());
    match cause {
        Some(rustls::Error::Other(other)) => match other.0.downcast_ref() {
            Some(&WrongKey { expected, got }) => ConnectError::WrongFingerprint {
                address,
                expected,
                got,
            },
            None => ConnectError::Tls {
                address,
                source: error,
            },
        },
        Some(rustls::Error::InvalidMessage(_)) => ConnectError::NotTls {
            address,
            detail: error.to_string(),
        },
        _ if error.kind() == io::ErrorKind::UnexpectedEof
            || error.kind() == io::ErrorKind::ConnectionReset =>
        {
            ConnectError::NotTls {
                address,
                detail: "it closed the connection during the handshake".to_owned(),
            }
        }
        _ => ConnectError::Tls {
            address,
            source: error,
        },
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
