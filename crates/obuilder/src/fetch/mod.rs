//! Where base images come from.
//!
//! [`BaseImages`] looks for an image in several places, one after the other; the files here are those places, and what they
//! share.

mod address;
mod base_images;
mod credentials;
mod distribution;
mod docker;
mod download;
mod http;
mod log;
mod registry;
mod settings;
mod tool;
mod unpack;

use std::path::Path;

use bstr::{BStr, BString};
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::Sink;

pub use address::{AddressRule, BadListed, Listed, Refused};
pub use base_images::BaseImages;
pub use settings::{Proxies, Settings};

/// Brings base images.
pub trait Fetcher {
    /// Puts the files of `image`, a name as a spec gives it, into the empty directory `rootfs`, and says to `output` what
    /// it does and how far it is. When `cancel` fires, it stops.
    fn fetch<'a>(
        &'a self,
        image: &'a str,
        rootfs: &'a Path,
        output: &'a dyn Sink,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<Image, FetchError>>;

    /// Returns the newest image that somebody has imported by hand under a name. `None` if there is none, or if that cannot be told:
    /// then fetching it fails, and says why.
    fn imported(&self, _image: &BStr) -> Option<ImportedImage> {
        None
    }
}

/// An image that somebody has imported by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedImage {
    /// The digest of its manifest.
    pub digest: String,
    /// When it was imported. `None` if that is not known.
    pub when: Option<Timestamp>,
}

/// What an image says about those who run in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its environment, in order.
    pub env: Vec<(BString, BString)>,
}

/// Why an image could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is no longer wanted.
    #[error("cancelled")]
    Cancelled,
    /// What was tried, and why each attempt failed; and what to do.
    #[error("{0}")]
    Failed(String),
    /// The root filesystem could not be written.
    #[error("cannot write {path:?}: {source}")]
    Write {
        /// What could not be written.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}
