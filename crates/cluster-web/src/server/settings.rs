//! How to serve pages.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access::ProxySettings;

/// How to serve pages.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The certificate; `None` for HTTP without TLS.
    pub tls: Option<TlsFiles>,
    /// Where browsers reach the pages, without a slash at the end; `None` for where they are listened on.
    pub url: Option<String>,
    /// Whether everybody may see names and numbers of pools, queues and workers.
    pub public_queue: bool,
    /// Visitors whom a proxy has authenticated.
    pub proxy: ProxySettings,
    /// How many connections and streams of events there are.
    pub limits: WebLimits,
}

/// How many connections and streams of events there are at most. Half of each are left for others when one address has
/// the rest: each browser has six connections, and many may share an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebLimits {
    /// How many connections there are. A stream of events has one.
    pub connections: usize,
    /// How many of them one address may have, unless it is a trusted proxy.
    pub connections_of_one: usize,
    /// How many streams of events there are.
    pub streams: usize,
    /// How many of them one address may have, as far as a trusted proxy tells addresses.
    pub streams_of_one: usize,
    /// How many of the streams visitors without a link may have.
    pub public_streams: usize,
    /// How many of those one address may have.
    pub public_streams_of_one: usize,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            connections: 3_000,
            connections_of_one: 1_500,
            streams: 2_000,
            streams_of_one: 1_000,
            public_streams: 1_000,
            public_streams_of_one: 500,
        }
    }
}

/// The files of a TLS certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that it is signed with.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl WebSettings {
    /// Returns whether browsers come by HTTPS, here or to a proxy.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
            || self
                .url
                .as_ref()
                .is_some_and(|url| url.starts_with("https://"))
    }
}
