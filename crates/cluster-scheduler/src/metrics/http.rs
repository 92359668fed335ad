//! The HTTP server: small and short answers, to clients who may be anybody.
//!
//! Each connection is for one request and may live for [`LIMIT`] in all, so that whoever is slow at sending, at reading,
//! or does neither, is soon gone. Scrapers come every few seconds at most, and do not mind connecting again.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Endpoint;

/// How many connections there are at most; others wait to be accepted.
const CONNECTIONS: usize = 128;

/// How long a request's head may take to come.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How long a connection may last: the head, a worker's answer, and a reader at the other end of the world.
const LIMIT: Duration = Duration::from_secs(30);

/// How large a request's head may be: the least that the library allows.
const HEAD_BYTES: usize = 8 * 1024;

/// How long to wait when no connection can be accepted, for want of file descriptors say.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A socket that scrapers can connect to.
pub(crate) struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpServer {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Returns where it listens, with the real port if the system picked one.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for as long as it is awaited. Never ends.
    pub(crate) async fn serve(self, endpoint: Rc<Endpoint>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn_local(serve_one(stream, Rc::clone(&endpoint), self.address));
                    }
                    Err(error) => {
                        tracing::warn!(target: "scheduler", "Cannot accept connections at {}: {error}", self.address);
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn serve_one(stream: TcpStream, endpoint: Rc<Endpoint>, address: SocketAddr) {
    let answer = service_fn(|request: Request<Incoming>| {
        let endpoint = Rc::clone(&endpoint);
        async move {
            let host = request
                .headers()
                .get(HOST)
                .and_then(|host| host.to_str().ok());
            let host = host.map_or_else(|| address.to_string(), str::to_owned);
            let response: Response<String> = endpoint
                .answer(request.method(), request.uri().path(), &host)
                .await;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // A client that talks nonsense, is too slow or breaks off has been dealt with, and is nobody else's concern.
    drop(tokio::time::timeout(LIMIT, connection).await);
}
