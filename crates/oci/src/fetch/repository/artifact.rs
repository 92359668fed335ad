//! The manifest of an artifact: a document with the blobs that belong to it, so that a registry keeps them as long.

use crate::digest::Digest;
use crate::documents::{self, Descriptor, Manifest, place};

/// A document in a repository, and the blobs that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The document, a small blob. Its media type names the kind of artifact.
    pub document: ArtifactBlob,
    /// The blobs that belong to it.
    pub blobs: Vec<ArtifactBlob>,
}

/// A blob of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactBlob {
    /// What kind of blob it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
}

impl Artifact {
    /// The largest manifest, in bytes. Registries refuse larger ones.
    pub const MOST: u64 = documents::MAX_DOCUMENT;

    /// Returns the manifest.
    pub fn manifest(&self) -> Vec<u8> {
        let blobs = self.blobs.iter().map(ArtifactBlob::descriptor);
        let manifest = Manifest::new(self.document.descriptor(), blobs.collect());
        // Strings and numbers: nothing in it can fail.
        serde_json::to_vec(&manifest).unwrap_or_default()
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(manifest: &[u8]) -> Result<Self, String> {
        let wrong = |error| format!("its manifest is wrong: {}", place(&error));
        let manifest: Manifest = serde_json::from_slice(manifest).map_err(wrong)?;
        let blob = |descriptor: Descriptor| ArtifactBlob {
            media_type: descriptor.media_type,
            digest: descriptor.digest,
            size: descriptor.size,
        };
        Ok(Self {
            document: blob(manifest.config),
            blobs: manifest.layers.into_iter().map(blob).collect(),
        })
    }
}

impl ArtifactBlob {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            digest: self.digest,
            size: self.size,
            ..Descriptor::of(&self.media_type, b"")
        }
    }
}
