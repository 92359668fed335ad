//! The loop that accepts connections, and the timeouts of those that were accepted.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::socket::Accepted;
use super::{Listener, ServeOptions};
use crate::close_reason::CloseReason;
use crate::link::{Inbound, Link, Links, NewLink, Role, SocketGuard, Totals, UnauthenticatedPeers};
use crate::log_limiter::{LogLimiter, REFILL_INTERVAL};
use crate::socket::{Socket, Stream};
use crate::stall_detector::StallDetector;
use crate::{Counters, Fingerprint, Limits, Restore, certificate, connection, descriptors};

/// How long to wait after a failed accept. Most often no descriptor is left, and a connection must close first.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How often to check whether another connection can be accepted, while none can.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// How often to check the timeouts of all connections.
const TIMEOUT_CHECK_INTERVAL: Duration = Duration::from_millis(500);

const NO_CERTIFICATE: &str = "it presented no client certificate";

/// Accepts connections until it is dropped.
pub(super) async fn serve(listener: Listener, services: Rc<dyn Restore>, options: ServeOptions) {
    let (stop, stopped) = watch::channel(());
    let links = listener.connections.0;
    let server = Rc::new(Server {
        acceptor: listener.acceptor,
        services,
        limits: Rc::new(options.limits.clone()),
        options,
        counters: listener.counters,
        stopped,
        totals: Rc::new(Totals::new(links.clone())),
        links,
        next_id: Cell::new(0),
        unauthenticated: UnauthenticatedPeers::default(),
        log_limiter: Rc::default(),
        sockets: Rc::default(),
        max_sockets: descriptors::max_connections(),
    });
    tokio::task::spawn_local(server.clone().watch_timeouts());
    let _guard = ServeGuard {
        server: server.clone(),
        _stop: stop,
    };
    let mut failing = false;
    loop {
        server.wait_for_room().await;
        match listener.socket.accept().await {
            Ok(accepted) => {
                failing = false;
                server.clone().admit(accepted);
            }
            Err(e) => {
                if !failing {
                    tracing::error!(
                        "Cannot accept connections at {}: {e}; retrying",
                        listener.address
                    );
                }
                failing = true;
                server.unauthenticated.evict_oldest();
                sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// What all connections of a listener share.
struct Server {
    acceptor: Option<TlsAcceptor>,
    services: Rc<dyn Restore>,
    limits: Rc<Limits>,
    options: ServeOptions,
    counters: Counters,
    /// Changes when the listener is dropped.
    stopped: watch::Receiver<()>,
    links: Links,
    next_id: Cell<u64>,
    unauthenticated: UnauthenticatedPeers,
    log_limiter: Rc<LogLimiter>,
    totals: Rc<Totals>,
    /// How many sockets are open.
    sockets: Rc<Cell<usize>>,
    /// How many may be open.
    max_sockets: usize,
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
            let reason = "the server is shutting down".to_owned();
            link.close(CloseReason::ClosedLocally(reason));
        }
    }
}

/// Why there is no stream to a peer.
enum Refused {
    /// It was rejected, for this reason.
    For(String),
    /// It closed its connection without a word: a check whether this address can be reached.
    Silent,
}

/// The stream to a peer after the handshake.
struct PeerStream {
    stream: Box<dyn Stream>,
    fingerprint: Option<Fingerprint>,
}

impl Server {
    /// Waits until another connection can be accepted. Evicts unauthenticated peers if that helps.
    async fn wait_for_room(&self) {
        let mut waited = false;
        loop {
            let unauthenticated = self.unauthenticated.count();
            let sockets = self.sockets.get();
            if unauthenticated < self.options.max_unauthenticated && sockets < self.max_sockets {
                return;
            }
            let evicted = self.unauthenticated.evict_oldest();
            if !waited && !evicted && unauthenticated == 0 {
                tracing::warn!(
                    "Cannot accept more than {sockets} connections: no file descriptors are left for them; \
                     raise the limit of open files"
                );
            }
            waited = true;
            if sockets >= self.max_sockets || !evicted {
                tokio::select! {
                    () = self.unauthenticated.freed() => {}
                    () = sleep(ROOM_CHECK_INTERVAL) => {}
                }
            }
        }
    }

    /// Starts the handshake of a connection, unless its host has too many unauthenticated ones.
    fn admit(self: Rc<Self>, accepted: Accepted) {
        let limit = self.options.max_unauthenticated_per_host;
        let Some(unauthenticated) = self.unauthenticated.add(accepted.host(), limit) else {
            self.reject(
                &accepted.address(),
                &format!("its host has {limit} unauthenticated connections"),
            );
            return;
        };
        let inbound = Inbound {
            unauthenticated,
            socket: SocketGuard::new(&self.sockets, &self.unauthenticated),
            log_limiter: self.log_limiter.clone(),
        };
        tokio::task::spawn_local(self.establish(accepted, inbound));
    }

    /// Does the handshake of a connection, and starts its task.
    async fn establish(self: Rc<Self>, accepted: Accepted, inbound: Inbound) {
        let address = accepted.address();
        let mut stopped = self.stopped.clone();
        let result = tokio::select! {
            result = self.handshake(accepted) => result,
            () = inbound.unauthenticated.evicted() => Err(Refused::For(CloseReason::Evicted.to_string())),
            _ = stopped.changed() => return,
        };
        match result {
            Ok(stream) => self.start(stream, address, inbound),
            Err(Refused::For(reason)) => self.reject(&address, &reason),
            Err(Refused::Silent) => {
                tracing::trace!("Connection from {address} was closed without a word");
            }
        }
    }

    fn reject(&self, address: &str, reason: &str) {
        self.counters.rejected();
        self.log_limiter
            .warn(format_args!("Rejected connection from {address}: {reason}"));
    }

    /// Disconnects peers that exceed a timeout, until the listener is dropped.
    async fn watch_timeouts(self: Rc<Self>) {
        let mut stopped = self.stopped.clone();
        let mut stalls = StallDetector::default();
        let mut refilled = Instant::now();
        loop {
            tokio::select! {
                () = sleep(TIMEOUT_CHECK_INTERVAL) => {}
                _ = stopped.changed() => return,
            }
            self.unauthenticated
                .expire(self.options.authentication_timeout);
            stalls.check(&self.links.borrow());
            if refilled.elapsed() >= REFILL_INTERVAL {
                refilled = Instant::now();
                self.log_limiter.refill();
            }
        }
    }

    async fn handshake(&self, accepted: Accepted) -> Result<PeerStream, Refused> {
        let limit = self.options.handshake_timeout;
        let late = || Refused::For(format!("no TLS handshake within {} s", limit.as_secs_f32()));
        let socket = match accepted {
            Accepted::Tcp(stream, _) => {
                // With TLS, the peer speaks first.
                if self.acceptor.is_some()
                    && let Ok(0) = timeout(limit, stream.peek(&mut [0]))
                        .await
                        .map_err(|_| late())?
                {
                    return Err(Refused::Silent);
                }
                let socket = Socket::tcp(stream, &self.options.keep_alive);
                socket.map_err(|e| Refused::For(e.to_string()))?
            }
            Accepted::Unix(stream) => Socket::Unix(stream),
        };
        let Some(acceptor) = &self.acceptor else {
            return Ok(PeerStream {
                stream: Box::new(socket),
                fingerprint: None,
            });
        };
        let stream = timeout(limit, acceptor.accept(socket))
            .await
            .map_err(|_| late())?
            .map_err(|e| Refused::For(handshake_failure(&e)))?;
        let fingerprint = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(<[_]>::first)
            .and_then(certificate::fingerprint)
            .ok_or_else(|| Refused::For(NO_CERTIFICATE.to_owned()))?;
        Ok(PeerStream {
            stream: Box::new(stream),
            fingerprint: Some(fingerprint),
        })
    }

    fn start(self: Rc<Self>, stream: PeerStream, address: String, inbound: Inbound) {
        let link = Link::new(NewLink {
            stream: stream.stream,
            role: Role::Listener,
            limits: self.limits.clone(),
            counters: self.counters.clone(),
            fingerprint: stream.fingerprint,
            label: format!("lost connection to {address}"),
            address,
            totals: self.totals.clone(),
            inbound: Some(inbound),
        });
        let id = self.next_id.replace(self.next_id.get() + 1);
        self.links.borrow_mut().insert(id, link.clone());
        let server = self.clone();
        link.on_closed(move || {
            server.links.borrow_mut().remove(&id);
        });
        connection::start(&link, self.services.clone());
    }
}

fn handshake_failure(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|e| e.downcast_ref());
    match cause {
        Some(rustls::Error::NoCertificatesPresented) => NO_CERTIFICATE.to_owned(),
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS; check whether its sturdy ref says \"insecure\"".to_owned()
        }
        _ => format!("the TLS handshake failed: {error}"),
    }
}
