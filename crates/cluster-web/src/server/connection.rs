//! One connection of a browser.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::front;
use super::site::Site;

/// How long a request's head may take to come, and a connection may be idle.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// How large a request's head may be.
const HEAD_BYTES: usize = 16 * 1024;

/// How many header fields a request may have.
const HEADERS: usize = 64;

/// Answers the requests of a connection, until it is closed.
pub(super) async fn serve<S>(stream: S, address: SocketAddr, site: &Arc<Site>, router: axum::Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let (site, router) = (Arc::clone(site), router.clone());
        async move {
            let request = request.map(axum::body::Body::new);
            Ok::<_, Infallible>(front::answer(&site, router, address, request).await)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    // It concerns only its browser, which has sent nonsense, was too slow or has disconnected.
    if let Err(error) = served {
        tracing::debug!(target: "web", "Connection from {address} failed: {error}");
    }
}
