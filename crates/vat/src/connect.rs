//! The end that dials: connects to the vat in a sturdy ref.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::Client;
use futures::FutureExt as _;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::close_reason::CloseReason;
use crate::connect_error::{connect_error, handshake_error, silent, timed_out};
use crate::endpoint::{Endpoint, Place};
use crate::link::{Link, NewLink, Role, Totals};
use crate::restore::{NoServices, UNKNOWN_SERVICE};
use crate::search::{Lookup, MOST_ENDPOINTS, search};
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
    /// Further addresses of the vat, besides that of its sturdy ref: each is tried, and must have the same key.
    pub also: Vec<Address>,
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
            also: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(30),
            limits: Limits {
                // A client holds up to three for each of its jobs: the ticket, the promised job, and the job.
                imports: Limits::default().questions,
                ..Limits::default()
            },
            // An address may move to another machine, which knows nothing of the connection and says so as soon as it
            // is asked.
            keep_alive: KeepAlive {
                idle: Duration::from_secs(5),
                interval: Duration::from_secs(5),
                ..KeepAlive::DEFAULT
            },
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
    /// Whether the key was made for this dialer, so that another one is as good.
    is_ephemeral: bool,
    /// The endpoint that has worked the last time.
    latest: Rc<RefCell<Option<Endpoint>>>,
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
        Self::with_key(Identity::ephemeral(), true, options)
    }

    /// Returns a vat with this key. Programs that run at the same time must not share a key.
    pub fn with_identity(identity: Identity, options: DialOptions) -> Self {
        Self::with_key(identity, false, options)
    }

    fn with_key(identity: Identity, is_ephemeral: bool, options: DialOptions) -> Self {
        Self(Rc::new(DialerInner {
            identity,
            is_ephemeral,
            latest: Rc::default(),
            limits: Rc::new(options.limits.clone()),
            options,
            counters: Counters::default(),
            totals: Rc::default(),
        }))
    }

    /// Returns another vat, with a new key, that shares this one's counters and knows which address has worked the last
    /// time. One with a key that its caller has chosen keeps the key.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let DialerInner {
            identity,
            is_ephemeral,
            latest,
            limits,
            options,
            counters,
            totals,
        } = &*self.0;
        Self(Rc::new(DialerInner {
            identity: match is_ephemeral {
                true => Identity::ephemeral(),
                false => identity.clone(),
            },
            is_ephemeral: *is_ephemeral,
            latest: Rc::clone(latest),
            limits: Rc::clone(limits),
            options: options.clone(),
            counters: counters.clone(),
            totals: Rc::clone(totals),
        }))
    }

    /// Returns the counters of all sessions of this dialer.
    pub fn counters(&self) -> Counters {
        self.0.counters.clone()
    }

    /// Connects, and waits until the server has provided the service.
    ///
    /// All addresses are tried: those of the sturdy ref's name, and those in [`DialOptions::also`]. The one that has
    /// worked the last time is first. Call it within a `LocalSet`: the connection becomes a task there.
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
        let latest = self.0.latest.borrow().clone();
        self.search(sturdy_ref, latest, |_| true, phase).await
    }

    /// Tries all endpoints of the vat that are wanted, `first` before the others.
    pub(crate) async fn search(
        &self,
        sturdy_ref: &SturdyRef,
        first: Option<Endpoint>,
        is_wanted: impl Fn(&Endpoint) -> bool,
        phase: &Cell<Phase>,
    ) -> Result<Session, ConnectError> {
        let options = &self.0.options;
        let is_wanted = &is_wanted;
        let lookups = self.addresses(sturdy_ref).map(|address| {
            let lookup: Lookup<'_> = Box::pin(async move {
                let mut found = Endpoint::resolve(address, options.connect_timeout).await?;
                found.retain(is_wanted);
                Ok(found)
            });
            (address.clone(), lookup)
        });
        let lookups = lookups.collect();
        let is_first = Cell::new(true);
        let attempt = |endpoint, own_phase| {
            // Several addresses may lead to one OCaml scheduler, which keeps one connection for each key.
            let dialer = match is_first.replace(false) {
                true => self.clone(),
                false => self.renewed(),
            };
            let phases = Phases {
                shared: Some(phase),
                own: own_phase,
            };
            async move { dialer.attempt(sturdy_ref, &endpoint, phases).await }.boxed_local()
        };
        let (session, endpoint) = search(&options.peer_name, first, lookups, &attempt).await?;
        self.0.latest.replace(Some(endpoint));
        Ok(session)
    }

    pub(crate) fn peer_name(&self) -> &str {
        &self.0.options.peer_name
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.0.options.connect_timeout
    }

    /// Returns the addresses of the vat that the sturdy ref is of, in the order in which they are tried.
    pub fn addresses<'a>(&'a self, sturdy_ref: &'a SturdyRef) -> impl Iterator<Item = &'a Address> {
        std::iter::once(&sturdy_ref.address).chain(&self.0.options.also)
    }

    /// Connects to every endpoint, to see how each does. Returns what was dialled: an address, and the IP address if its
    /// name has several.
    pub async fn connect_to_each(
        &self,
        sturdy_ref: &SturdyRef,
    ) -> Vec<(Address, String, Result<Session, ConnectError>)> {
        let lookups = self.addresses(sturdy_ref).map(|address| async move {
            let found = Endpoint::resolve(address, self.connect_timeout()).await;
            (address, found)
        });
        let mut known: Vec<Place> = Vec::new();
        let mut attempts = Vec::new();
        for (address, found) in futures::future::join_all(lookups).await {
            match found {
                Err(error) => {
                    let failed = (address.clone(), address.to_string(), Err(error));
                    attempts.push(async move { failed }.boxed_local());
                }
                Ok(endpoints) => {
                    for endpoint in endpoints {
                        if known.contains(&endpoint.place) || known.len() >= MOST_ENDPOINTS {
                            continue;
                        }
                        known.push(endpoint.place.clone());
                        let dialer = self.renewed();
                        let attempt = async move {
                            let session = dialer.attempt(sturdy_ref, &endpoint, Phases::default());
                            let session = session.await;
                            (endpoint.address.clone(), endpoint.to_string(), session)
                        };
                        attempts.push(attempt.boxed_local());
                    }
                }
            }
        }
        futures::future::join_all(attempts).await
    }

    /// Connects to one endpoint, and waits until the server has provided the service.
    async fn attempt(
        &self,
        sturdy_ref: &SturdyRef,
        endpoint: &Endpoint,
        phases: Phases<'_>,
    ) -> Result<Session, ConnectError> {
        let address = &endpoint.address;
        phases.set(Phase::Connection);
        let socket = self.open(endpoint).await?;
        phases.set(Phase::Handshake);
        let (stream, fingerprint): (Box<dyn Stream>, _) = match sturdy_ref.auth {
            Auth::Insecure => (Box::new(socket), None),
            Auth::Sha256(expected) => {
                let stream = self.handshake(address, socket, expected).await?;
                (Box::new(stream), Some(expected))
            }
        };
        phases.set(Phase::FirstAnswer);
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
            label: format!("lost connection to {peer_name} at {endpoint}"),
            address: address.to_string(),
            totals: self.0.totals.clone(),
            inbound: None,
        });
        let client = connection::start(&link, Rc::new(NoServices));
        let session = Session(Rc::new(SessionInner {
            client: client.unwrap_or_else(|| broken(&CloseReason::Unused, &link)),
            link,
            endpoint: endpoint.clone(),
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

    async fn open(&self, endpoint: &Endpoint) -> Result<Socket, ConnectError> {
        let Endpoint { address, place, .. } = endpoint;
        let options = &self.0.options;
        let limit = options.connect_timeout;
        let opened = async {
            match place {
                Place::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
                Place::Tcp(place) => {
                    Socket::tcp(TcpStream::connect(place).await?, &options.keep_alive)
                }
            }
        };
        timeout(limit, opened)
            .await
            .map_err(|_| timed_out(address, limit))?
            .map_err(|error| connect_error(address, error))
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

/// What an attempt waits for, for the program and for the search that it is a part of.
#[derive(Default)]
struct Phases<'a> {
    /// `None` if the program does not show it.
    shared: Option<&'a Cell<Phase>>,
    own: Rc<Cell<Phase>>,
}

impl Phases<'_> {
    fn set(&self, phase: Phase) {
        if let Some(shared) = self.shared {
            shared.set(phase);
        }
        self.own.set(phase);
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
    endpoint: Endpoint,
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
        self.0.endpoint.address.clone()
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
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
        write!(f, "Session({})", self.0.endpoint)
    }
}
