//! What all requests share.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use axum::http::header::HOST;
use tokio::sync::Semaphore;

use super::line_indexes::LineIndexes;
use super::quota::Quota;
use super::settings::WebSettings;
use super::shared_pages::SharedPages;
use super::stats::WebStats;
use super::worker_parts::KnownParts;
use crate::Cluster;
use crate::access::{Guesses, SessionKey};

/// What all requests share.
pub(super) struct Site {
    pub(super) settings: WebSettings,
    /// Signs sessions.
    pub(super) key: SessionKey,
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) stats: Arc<WebStats>,
    pub(super) guesses: Mutex<Guesses>,
    pub(super) line_indexes: Mutex<LineIndexes>,
    /// Pages of pools, for all who may see the same.
    pub(super) shared_pages: Mutex<SharedPages>,
    /// What pages of workers have, for all who look at the same state of their pool.
    pub(super) worker_parts: Mutex<KnownParts>,
    /// Held while the lines of a log are counted in the background.
    pub(super) counting: Arc<Semaphore>,
    /// The streams of events that there may be.
    pub(super) streams: Quota,
    /// Those of visitors without a link.
    pub(super) public_streams: Quota,
}

impl Site {
    pub(super) fn new(
        settings: WebSettings,
        key: SessionKey,
        cluster: Arc<dyn Cluster>,
        stats: Arc<WebStats>,
    ) -> Arc<Self> {
        let limits = settings.limits;
        Arc::new(Self {
            settings,
            key,
            cluster,
            stats,
            guesses: Mutex::default(),
            line_indexes: Mutex::default(),
            shared_pages: Mutex::default(),
            worker_parts: Mutex::default(),
            counting: Arc::new(Semaphore::new(1)),
            streams: Quota::new(limits.streams, limits.streams_of_one),
            public_streams: Quota::new(limits.public_streams, limits.public_streams_of_one),
        })
    }
}

impl Site {
    /// Returns what the addresses of all pages begin with, as this visitor has asked for one.
    pub(super) fn origin(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.settings.url {
            return url.clone();
        }
        let scheme = if self.settings.is_secure() {
            "https"
        } else {
            "http"
        };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        host.map(|host| format!("{scheme}://{host}"))
            .unwrap_or_default()
    }
}

/// Returns the time, in seconds since 1970.
pub(super) fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
