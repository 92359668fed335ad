//! A place with small documents, each under a tag, and blobs, each under its digest: a repository of a registry, or a
//! directory that several machines share.
//!
//! Whatever comes from it may be forged. A blob that is returned has the digest and the size that were asked for;
//! whether a document is genuine, its reader must find out.

mod artifact;
mod directory;
mod remote;

use std::fs::File;
use std::path::{Path, PathBuf};

use oci_spec::distribution::Reference;

pub use self::artifact::{Artifact, ArtifactBlob};
use self::directory::Directory;
use self::remote::Remote;
use super::settings::Settings;
use crate::digest::Digest;

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryPlace {
    /// In a registry: `HOST/NAME`.
    Registry(Reference),
    /// In a directory.
    Directory(PathBuf),
}

/// Documents and blobs that several machines share.
#[derive(Debug)]
pub struct Repository(Inner);

#[derive(Debug)]
enum Inner {
    // Boxed, because an HTTP client is large.
    Remote(Box<Remote>),
    Directory(Directory),
}

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// It does not answer, or not with what it should.
    #[error("cannot use the repository {place}: {reason}")]
    Unavailable {
        /// Which repository.
        place: String,
        /// Why not.
        reason: String,
    },
    /// A blob is missing.
    #[error("the repository has no blob {0}")]
    Missing(Digest),
    /// A blob or a document is not what it should be.
    #[error("{0}")]
    Wrong(String),
    /// A file of this machine cannot be read or written.
    #[error("cannot use {}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl RepositoryPlace {
    /// Parses `oci://HOST/NAME` or `dir:PATH`.
    ///
    /// # Errors
    /// What is wrong with the text, and what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("dir:") {
            return if path.starts_with('/') {
                Ok(Self::Directory(path.into()))
            } else {
                Err(format!("{path:?} is not an absolute path"))
            };
        }
        let Some(name) = text.strip_prefix("oci://") else {
            return Err("oci://REGISTRY/REPOSITORY or dir:/PATH is expected".to_owned());
        };
        let named: Reference = name
            .parse()
            .map_err(|error| format!("{name:?} is not the name of a repository: {error}"))?;
        let has_tag = named.digest().is_some() || named.whole() != format!("{name}:latest");
        if has_tag {
            return Err(format!(
                "{name:?} is not REGISTRY/REPOSITORY, with the registry and without a tag"
            ));
        }
        Ok(Self::Registry(named))
    }
}

impl std::fmt::Display for RepositoryPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry(named) => write!(f, "oci://{}/{}", named.registry(), named.repository()),
            Self::Directory(path) => write!(f, "dir:{}", path.display()),
        }
    }
}

impl Repository {
    /// Opens a repository; to write if `writes`. A registry is contacted only when it is used.
    ///
    /// # Errors
    /// If there is no HTTP client, or the directory cannot be made.
    pub fn open(
        place: &RepositoryPlace,
        settings: Settings,
        writes: bool,
    ) -> Result<Self, RepositoryError> {
        Ok(Self(match place {
            RepositoryPlace::Registry(named) => {
                Inner::Remote(Box::new(Remote::new(named, settings, writes)))
            }
            RepositoryPlace::Directory(path) => Inner::Directory(Directory::open(path, writes)?),
        }))
    }

    /// Returns the document under a tag, of at most `limit` bytes. `None` if there is none.
    ///
    /// # Errors
    /// If the repository does not answer, or the document is too large.
    pub async fn document(
        &self,
        tag: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        match &self.0 {
            Inner::Remote(remote) => remote.document(tag, limit).await,
            Inner::Directory(directory) => directory.document(tag, limit),
        }
    }

    /// Puts a manifest under a tag, in the place of an older one. The blobs that it refers to are there already.
    ///
    /// # Errors
    /// If the repository does not take it.
    pub async fn put_document(&self, tag: &str, manifest: &[u8]) -> Result<(), RepositoryError> {
        match &self.0 {
            Inner::Remote(remote) => remote.put_document(tag, manifest).await,
            Inner::Directory(directory) => directory.put_document(tag, manifest),
        }
    }

    /// Copies a blob of exactly `size` bytes into a file without a name in the directory `into`.
    ///
    /// # Errors
    /// If there is no such blob, it has another size or digest, or a file cannot be written.
    pub async fn blob(
        &self,
        digest: &Digest,
        size: u64,
        into: &Path,
    ) -> Result<File, RepositoryError> {
        match &self.0 {
            Inner::Remote(remote) => remote.blob(digest, size, into).await,
            Inner::Directory(directory) => directory.blob(digest, size, into).await,
        }
    }

    /// Adds a blob, unless it is there already. Returns whether it was added.
    ///
    /// # Errors
    /// If the repository does not take it, or the file cannot be read.
    pub async fn put_blob(
        &self,
        digest: &Digest,
        size: u64,
        content: File,
    ) -> Result<bool, RepositoryError> {
        match &self.0 {
            Inner::Remote(remote) => remote.put_blob(digest, size, content).await,
            Inner::Directory(directory) => directory.put_blob(digest, content).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_its_registry_and_no_tag() {
        for text in [
            "oci://lab:5000/team/cache",
            "oci://ghcr.io/x/y",
            "dir:/srv/cache",
        ] {
            let place = RepositoryPlace::parse(text).unwrap();
            assert_eq!(place.to_string(), text);
        }
        for text in [
            "",
            "lab:5000/cache",
            "oci://",
            "oci://busybox",
            "oci://lab:5000/cache:tag",
            "dir:cache",
            "oci://lab/UPPER",
        ] {
            assert!(RepositoryPlace::parse(text).is_err(), "{text}");
        }
    }
}
