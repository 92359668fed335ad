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
