//! Waiting for others to connect.
//!
//! Several connections with the same key are all served. Upstream keeps only one for each key, and which one depends on
//! how the digests of the keys compare; so a program that reconnects before its old connection is known to be dead can
//! be locked out. Accepting all of them is what upstream's clients can live with in any case.

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::ending::Ending;
use crate::link::{Guest, Link, Links, NewLink, Role, Slot, Strangers, Totals};
use crate::notices::{Notices, REFILL};
use crate::progress::Progress;
use crate::socket::{Socket, Stream};
use crate::{
    Address, Counters, Fingerprint, Identity, KeepAlive, Limits, Restore, certificate, connection,
    descriptors, tls,
};

/// How many connections may wait to be accepted. A restarted scheduler gets all its workers back at once.
const BACKLOG: i32 = 1024;

/// How long to wait after a failed accept: most often, descriptors have run out, and others must close first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often it is looked for places when there are none.
const ROOM_PAUSE: Duration = Duration::from_millis(20);

/// How often it is looked for those who take too long.
const LOOK: Duration = Duration::from_millis(500);

/// Whether and as whom a listener speaks TLS.
#[derive(Clone, Debug)]
pub enum Security {
    /// With this identity.
    Tls(Identity),
    /// Without TLS: for networks that are trusted otherwise.
    Plaintext,
}

/// How a listener treats its peers.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// How much a peer may use.
    pub limits: Limits,
    /// How long a peer may take for the TLS handshake.
    pub handshake_timeout: Duration,
    /// When a silent peer is given up.
    pub keep_alive: KeepAlive,
    /// How many peers there may be at a time that have not named a service. When there are more, the oldest have to go if
    /// they have been there for a second, and others have to wait.
    pub strangers: usize,
    /// The same from one host, or one network of IPv6.
    pub strangers_per_host: usize,
    /// How long a peer may take to name a service.
    pub stranger_time: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            handshake_timeout: Duration::from_secs(10),
            keep_alive: KeepAlive::default(),
            strangers: 512,
            strangers_per_host: 384,
            stranger_time: Duration::from_secs(30),
        }
    }
}

/// Why nobody can connect.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("cannot listen at {0}: the address is in use; is another scheduler running?")]
    InUse(Address),
    /// The host has no address.
    #[error("cannot listen at {address}: unknown host: {source}")]
    UnknownHost {
        /// The address.
        address: Address,
        /// What the resolver said.
        source: io::Error,
    },
    /// There is a file at the path that is not a socket.
    #[error("cannot listen at unix:{}: there is a file that is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The system does not let us.
    #[error("cannot listen at {address}: {source}")]
    Io {
        /// The address.
        address: Address,
        /// What went wrong.
        source: io::Error,
    },
    /// The key does not work with TLS.
    #[error("cannot use the key for TLS: {0}")]
    Tls(rustls::Error),
}

/// A socket that others can connect to.
pub struct Listener {
    socket: ListeningSocket,
    address: Address,
    acceptor: Option<TlsAcceptor>,
    counters: Counters,
    connections: Connections,
}

/// The connections through a listener, as they come and go. Clones are the same ones.
#[derive(Clone, Default)]
pub struct Connections(Links);

impl Connections {
    /// Waits until all that was said to everybody is on its way. As for a single [`Peer`](crate::Peer::flushed), this wants a
    /// limit.
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

enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Opens the socket. Must be called within a Tokio runtime.
    ///
    /// A socket left at a unix path by a program that has gone is replaced; one that somebody answers at is not.
    pub fn bind(address: &Address, security: Security) -> Result<Self, ListenError> {
        let acceptor = match security {
            Security::Tls(identity) => Some(acceptor(&identity)?),
            Security::Plaintext => None,
        };
        let (socket, address) = match address {
            Address::Tcp { host, port } => bind_tcp(address, host, *port)?,
            Address::Unix(path) => (bind_unix(address, path)?, address.clone()),
        };
        Ok(Self {
            socket,
            address,
            acceptor,
            counters: Counters::default(),
            connections: Connections::default(),
        })
    }

    /// Returns where it listens, with the real port if the system picked one.
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

    /// Serves everyone who connects, until it is dropped: then all connections are closed, too.
    ///
    /// Must run within a `LocalSet`, as each connection is a task of its own there.
    pub async fn serve(self, services: Rc<dyn Restore>, options: ServeOptions) {
        let (stop, stopped) = watch::channel(());
        let totals = Totals::new(self.connections.0.clone());
        let server = Rc::new(Server {
            acceptor: self.acceptor,
            services,
            limits: Rc::new(options.limits.clone()),
            options,
            counters: self.counters,
            stopped,
            links: self.connections.0,
            next_id: Cell::new(0),
            strangers: Strangers::default(),
            notices: Rc::default(),
            totals: Rc::new(totals),
            sockets: Rc::default(),
            most_sockets: descriptors::for_connections(),
        });
        tokio::task::spawn_local(server.clone().look_after());
        let _guard = ServeGuard {
            server: server.clone(),
            _stop: stop,
        };
        let mut failing = false;
        loop {
            server.room().await;
            match accept(&self.socket).await {
                Ok(accepted) => {
                    failing = false;
                    server.clone().let_in(accepted);
                }
                Err(e) => {
                    if !failing {
                        tracing::error!(
                            "cannot accept connections at {}: {e}; trying again",
                            self.address
                        );
                    }
                    failing = true;
                    server.strangers.make_room();
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn acceptor(identity: &Identity) -> Result<TlsAcceptor, ListenError> {
    let config: Arc<ServerConfig> = tls::server_config(identity).map_err(ListenError::Tls)?;
    Ok(TlsAcceptor::from(config))
}

fn bind_tcp(
    address: &Address,
    host: &str,
    port: u16,
) -> Result<(ListeningSocket, Address), ListenError> {
    let candidates = (host, port)
        .to_socket_addrs()
        .map_err(|source| ListenError::UnknownHost {
            address: address.clone(),
            source,
        })?;
    let mut result = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
    for candidate in candidates {
        result = listen_tcp(candidate);
        if result.is_ok() {
            break;
        }
    }
    let listener = result.map_err(|source| listen_error(address, source))?;
    let port = listener
        .local_addr()
        .map_err(|source| listen_error(address, source))?
        .port();
    let address = Address::tcp(host, port);
    Ok((ListeningSocket::Tcp(listener), address))
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bind_unix(address: &Address, path: &Path) -> Result<ListeningSocket, ListenError> {
    let failed = |source| listen_error(address, source);
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
    let listen = || {
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(BACKLOG)?;
        UnixListener::from_std(socket.into())
    };
    Ok(ListeningSocket::Unix(listen().map_err(failed)?))
}

fn listen_error(address: &Address, source: io::Error) -> ListenError {
    let address = address.clone();
    if source.kind() == io::ErrorKind::AddrInUse {
        ListenError::InUse(address)
    } else {
        ListenError::Io { address, source }
    }
}

enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

impl Accepted {
    fn address(&self) -> String {
        match self {
            Self::Tcp(_, address) => address.to_string(),
            Self::Unix(_) => "a unix socket".to_owned(),
        }
    }
}

async fn accept(socket: &ListeningSocket) -> io::Result<Accepted> {
    Ok(match socket {
        ListeningSocket::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            Accepted::Tcp(stream, address)
        }
        ListeningSocket::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
    })
}

/// What all connections of a listener share.
struct Server {
    acceptor: Option<TlsAcceptor>,
    services: Rc<dyn Restore>,
    limits: Rc<Limits>,
    options: ServeOptions,
    counters: Counters,
    /// Ends when the listener does.
    stopped: watch::Receiver<()>,
    links: Links,
    next_id: Cell<u64>,
    strangers: Strangers,
    notices: Rc<Notices>,
    totals: Rc<Totals>,
    /// How many sockets are open.
    sockets: Rc<Cell<usize>>,
    /// How many may be.
    most_sockets: usize,
}

/// Closes everything when the listener is dropped.
struct ServeGuard {
    server: Rc<Server>,
    _stop: watch::Sender<()>,
}

impl Drop for ServeGuard {
    fn drop(&mut self) {
        let links: Vec<_> = self.server.links.borrow().values().cloned().collect();
        for link in links {
            link.end(Ending::ClosedHere("the server is shutting down".to_owned()));
        }
    }
}

/// A peer that has made it through the handshake.
struct Welcomed {
    stream: Box<dyn Stream>,
    fingerprint: Option<Fingerprint>,
}

impl Server {
    /// Waits until one more can be let in, and sends away strangers who have been there for too long if that helps.
    async fn room(&self) {
        let mut waited = false;
        loop {
            let strangers = self.strangers.count();
            let sockets = self.sockets.get();
            if strangers < self.options.strangers && sockets < self.most_sockets {
                return;
            }
            let made = self.strangers.make_room();
            if !waited && !made && strangers == 0 {
                tracing::warn!(
                    "{sockets} connections are open, and there are descriptors for no more; raise the limit of open files"
                );
            }
            waited = true;
            if sockets >= self.most_sockets || !made {
                tokio::select! {
                    () = self.strangers.freed() => {}
                    () = sleep(ROOM_PAUSE) => {}
                }
            }
        }
    }

    /// Lets a connection in, unless there are too many from its host.
    fn let_in(self: Rc<Self>, accepted: Accepted) {
        let host = match &accepted {
            Accepted::Tcp(_, address) => Some(address.ip()),
            Accepted::Unix(_) => None,
        };
        let Some(place) = self.strangers.enter(host, self.options.strangers_per_host) else {
            self.counters.rejected();
            let most = self.options.strangers_per_host;
            self.notices.warn(format_args!(
                "rejecting connection from {}: more than {most} from there have named no service",
                accepted.address()
            ));
            return;
        };
        self.sockets.set(self.sockets.get() + 1);
        let guest = Guest {
            place,
            slot: Slot {
                sockets: self.sockets.clone(),
                strangers: self.strangers.clone(),
            },
            notices: self.notices.clone(),
        };
        tokio::task::spawn_local(self.welcome(accepted, guest));
    }

    /// Sees a connection through its handshake; what comes then is the business of its own task.
    async fn welcome(self: Rc<Self>, accepted: Accepted, guest: Guest) {
        let address = accepted.address();
        let mut stopped = self.stopped.clone();
        let welcomed = tokio::select! {
            welcomed = self.shake_hands(accepted) => welcomed,
            () = guest.place.evicted() => Err(Ending::Evicted.to_string()),
            _ = stopped.changed() => return,
        };
        match welcomed {
            Ok(welcomed) => self.connected(welcomed, address, guest),
            Err(why) => {
                self.counters.rejected();
                self.notices
                    .warn(format_args!("rejecting connection from {address}: {why}"));
            }
        }
    }

    /// Ends those who take too long with something, until the listener ends.
    async fn look_after(self: Rc<Self>) {
        let mut stopped = self.stopped.clone();
        let mut progress = Progress::default();
        let mut refilled = Instant::now();
        loop {
            tokio::select! {
                () = sleep(LOOK) => {}
                _ = stopped.changed() => return,
            }
            self.strangers.expire(self.options.stranger_time);
            progress.look(&self.links.borrow());
            if refilled.elapsed() >= REFILL {
                refilled = Instant::now();
                self.notices.refill();
            }
        }
    }

    async fn shake_hands(&self, accepted: Accepted) -> Result<Welcomed, String> {
        let socket = match accepted {
            Accepted::Tcp(stream, _) => {
                Socket::tcp(stream, &self.options.keep_alive).map_err(|e| e.to_string())?
            }
            Accepted::Unix(stream) => Socket::Unix(stream),
        };
        let Some(acceptor) = &self.acceptor else {
            return Ok(Welcomed {
                stream: Box::new(socket),
                fingerprint: None,
            });
        };
        let patience = self.options.handshake_timeout;
        let stream = timeout(patience, acceptor.accept(socket))
            .await
            .map_err(|_| format!("no TLS handshake within {} s", patience.as_secs_f32()))?
            .map_err(|e| handshake_failure(&e))?;
        let fingerprint = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first)
            .and_then(certificate::fingerprint)
            .ok_or(NO_CERTIFICATE)?;
        Ok(Welcomed {
            stream: Box::new(stream),
            fingerprint: Some(fingerprint),
        })
    }

    fn connected(self: Rc<Self>, welcomed: Welcomed, address: String, guest: Guest) {
        let link = Link::new(NewLink {
            stream: welcomed.stream,
            role: Role::Serving,
            limits: self.limits.clone(),
            counters: self.counters.clone(),
            fingerprint: welcomed.fingerprint,
            label: format!("lost connection to {address}"),
            address,
            totals: self.totals.clone(),
            guest: Some(guest),
        });
        let id = self.next_id.replace(self.next_id.get() + 1);
        self.links.borrow_mut().insert(id, link.clone());
        let server = self.clone();
        link.on_ended(move || {
            server.links.borrow_mut().remove(&id);
        });
        connection::start(&link, self.services.clone());
    }
}

const NO_CERTIFICATE: &str = "it shows no client certificate";

fn handshake_failure(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|e| e.downcast_ref());
    match cause {
        Some(rustls::Error::NoCertificatesPresented) => NO_CERTIFICATE.to_owned(),
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS (does its sturdy ref say \"insecure\"?)".to_owned()
        }
        _ => format!("TLS handshake failed: {error}"),
    }
}
