//! Fetches images by name.
//!
//! [`BaseImages`] tries several sources in order: the library of imported images, the local Docker engine, the
//! registry. A [`Repository`] has documents and blobs by name, and is written too.

mod address;
mod base_images;
mod credentials;
mod distribution;
mod docker;
mod download;
mod http;
mod log;
mod registry;
mod repository;
mod settings;
mod tool;
mod unpack;

use jiff::Timestamp;

pub use address::{AddressRule, BadListed, Listed, Refused};
pub use base_images::BaseImages;
pub use repository::{Artifact, ArtifactBlob, Repository, RepositoryError, RepositoryPlace};
pub use settings::{Proxies, Settings};

/// Takes the lines that are logged while an image is fetched, as bytes.
pub type LogFunction<'a> = &'a dyn Fn(&[u8]) -> std::io::Result<()>;

/// An image that was imported by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedImage {
    /// The digest of its manifest.
    pub digest: String,
    /// When it was imported. `None` if that is not known.
    pub when: Option<Timestamp>,
}

/// Why an image could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// No source has it: what was tried, why each attempt failed, and what to do.
    #[error("{0}")]
    Failed(String),
    /// The root filesystem could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// What could not be written.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}
