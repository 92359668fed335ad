//! Accepts connections, as many as there may be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::connection;
use super::quota::Quota;
use super::routes;
use super::settings::WebLimits;
use super::site::Site;
use super::timed_stream::TimedStream;

/// How long to wait when no connection can be accepted, for example without free file descriptors.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long TLS may take to begin.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Answers requests. Never ends.
pub(super) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, site: Arc<Site>) {
    let WebLimits {
        connections,
        connections_of_one,
        ..
    } = site.settings.limits;
    let quota = Quota::new(connections, connections_of_one);
    let router = routes::router(Arc::clone(&site));
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(target: "web", "Cannot accept a connection: {error}");
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
        };
        // Behind a proxy are many browsers; it says which of them asks for what.
        let is_proxy = site.settings.proxy.trusts(address.ip());
        let place = quota.take((!is_proxy).then(|| address.ip()));
        let Ok(place) = place else {
            site.stats.add_refused_connection();
            tracing::debug!(
                target: "web",
                "Refused a connection of {address}: there are {connections}, or {connections_of_one} of its \
                 address; if it is a proxy, add it to --web-trust"
            );
            continue;
        };
        let (site, tls, router) = (Arc::clone(&site), tls.clone(), router.clone());
        tokio::spawn(async move {
            let _counted = site.stats.add_connection();
            serve_one(stream, address, tls, &site, router).await;
            drop(place);
        });
    }
}

async fn serve_one(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    site: &Arc<Site>,
    router: axum::Router,
) {
    // An error means that it is closed.
    stream.set_nodelay(true).ok();
    let stream = TimedStream::new(stream);
    let Some(tls) = tls else {
        return connection::serve(stream, address, site, router).await;
    };
    match tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection::serve(stream, address, site, router).await,
        Ok(Err(error)) => {
            tracing::debug!(target: "web", "Cannot begin TLS with {address}: {error}");
        }
        Err(_) => {
            tracing::debug!(target: "web", "Cannot begin TLS with {address}: it took too long");
        }
    }
}
