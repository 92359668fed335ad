//! What all requests share.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use super::settings::WebSettings;
use super::stats::WebStats;
use crate::Cluster;
use crate::access::Guesses;

/// What all requests share.
pub(super) struct Site {
    pub(super) settings: WebSettings,
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) stats: Arc<WebStats>,
    pub(super) guesses: Mutex<Guesses>,
}

impl Site {
    pub(super) fn new(
        settings: WebSettings,
        cluster: Arc<dyn Cluster>,
        stats: Arc<WebStats>,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            cluster,
            stats,
            guesses: Mutex::default(),
        })
    }
}

/// Returns the time, in seconds since 1970.
pub(super) fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
