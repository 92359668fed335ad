//! The web server: threads that listen, and answer with pages.

mod actions;
mod assets;
mod badge;
mod connection;
mod download;
mod enter;
mod events;
mod feed;
mod fill;
mod front;
mod headers;
mod label_address;
mod line_index;
mod line_indexes;
mod listen;
mod log;
mod log_events;
mod log_reader;
mod paths;
mod quota;
mod reply;
mod routes;
mod settings;
mod shared_pages;
mod site;
mod stats;
mod threads;
mod timed_stream;
mod tls;
mod visit;
mod worker_parts;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use self::assets::{ASSETS, Asset, Assets};
pub use self::settings::{TlsFiles, WebLimits, WebSettings};
use self::site::Site;
pub use self::stats::WebStats;
pub use self::tls::TlsError;
use crate::Cluster;
use crate::access::SessionKey;

/// A web server, which serves until it is dropped.
pub struct Server {
    address: SocketAddr,
    stats: Arc<WebStats>,
    /// Dropping it ends the threads.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why a web server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error(
        "cannot serve pages at {address}: {source}; choose another port, or an address of this machine"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no thread for it.
    #[error("cannot start the threads of the pages")]
    Thread(#[source] io::Error),
}

impl Server {
    /// Listens, and serves the pages of a scheduler from threads of its own. `key` signs sessions.
    ///
    /// # Errors
    ///
    /// [`ServerError`] says what cannot be used.
    pub fn start(
        settings: WebSettings,
        key: SessionKey,
        cluster: Arc<dyn Cluster>,
    ) -> Result<Self, ServerError> {
        let requested = settings.listen;
        let failed = |source| ServerError::Listen {
            address: requested,
            source,
        };
        let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        let listener = std::net::TcpListener::bind(requested).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stats = Arc::new(WebStats::default());
        let site = Site::new(settings, key, cluster, Arc::clone(&stats));
        let runtime = threads::runtime().map_err(ServerError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("web".to_owned());
        let thread = thread.spawn(move || {
            threads::yield_to_jobs();
            runtime.block_on(async {
                let listener = match TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => {
                        tracing::error!(target: "web", "Cannot serve pages: {error}");
                        return;
                    }
                };
                tokio::select! {
                    () = listen::serve(listener, tls, site) => {}
                    // An error means the same.
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            address,
            stats,
            stop: Some(stop),
            thread: Some(thread.map_err(ServerError::Thread)?),
        })
    }

    /// Returns where it listens, with the real port if the system picked one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it has done so far.
    pub fn stats(&self) -> Arc<WebStats> {
        Arc::clone(&self.stats)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target: "web", "The thread of the pages panicked");
        }
    }
}
