//! Writes a root filesystem as an archive, or as an image that other programs load.
//!
//! The same tree gives the same bytes: names are sorted, and nothing of this machine or of now is written.

mod changes;
mod layer_file;
mod tree;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};
use visible::OneLine;

use crate::digest::{Digest, Hashing};
use crate::documents::{self, Annotations, Config, Descriptor, Index, Layers, Manifest, RunConfig};
use crate::platform::Platform;
pub use changes::write_changes;
pub use layer_file::{LayerFile, tree_digest, write_layer};
use tree::TreeWriter;

const BLOCK: u64 = 512;

/// An image to write.
#[derive(Debug, Clone)]
pub struct Export<'a> {
    /// The root filesystem. It must not change during the export.
    pub rootfs: &'a Path,
    /// The settings for the processes that run in it.
    pub config: &'a RunConfig,
    /// The name under which it is loaded: `name:tag`. `None` for no name.
    pub name: Option<&'a str>,
    /// The machine it is for.
    pub platform: &'a Platform,
    /// A description of how it was made.
    pub created_by: &'a str,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", OneLine(.path.to_string_lossy().as_ref()))]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive: {0}")]
    Write(#[source] io::Error),
    /// It changed while it was being read.
    #[error(
        "cannot export {}: it changed during the export; retry once nothing writes to it",
        OneLine(.0.to_string_lossy().as_ref())
    )]
    Changed(PathBuf),
    /// It cannot be in a layer, where it would mean that a file is gone.
    #[error(
        "cannot put {} into a layer: there it would remove a file",
        OneLine(.0.to_string_lossy().as_ref())
    )]
    NotForLayers(PathBuf),
    /// The name is not a valid name of an image.
    #[error("{0:?} is not the name of an image")]
    BadName(String),
}

/// Writes the files of a root filesystem as a plain tar archive.
///
/// # Errors
/// If a file cannot be read, or `out` cannot be written.
pub fn write_tar(rootfs: &Path, out: &mut dyn Write) -> Result<(), ExportError> {
    let mut writer = TreeWriter {
        out,
        links: HashMap::new(),
    };
    writer.directory(rootfs, &mut Vec::new())?;
    writer.out.write_all(&[0; 1024]).map_err(ExportError::Write)
}

/// Writes an image of a single layer as an archive that is both an OCI layout and what `docker load` reads. Returns the
/// digest of its manifest.
///
/// The tree is read twice: its digest, under which it is in the archive, comes before it there.
///
/// # Errors
/// As for [`write_tar`]; and when the tree changes meanwhile.
pub fn write_image(export: &Export<'_>, out: &mut dyn Write) -> Result<Digest, ExportError> {
    let mut sink = Hashing::new(io::sink());
    write_tar(export.rootfs, &mut sink)?;
    let (_, digest, size) = sink.finish();
    let layer = Descriptor {
        digest,
        size,
        ..Descriptor::of(documents::LAYER, b"")
    };
    let documents = Documents::of(export, &layer)?;

    let mut out = Members { out };
    for directory in ["blobs/", "blobs/sha256/"] {
        out.header(directory, EntryType::Directory, 0)?;
    }
    out.header(&blob(&digest), EntryType::Regular, size)?;
    let mut again = Hashing::new(&mut *out.out);
    write_tar(export.rootfs, &mut again)?;
    let (_, digest, written) = again.finish();
    if (digest, written) != (layer.digest, size) {
        return Err(ExportError::Changed(export.rootfs.to_owned()));
    }
    out.pad(size)?;
    for (name, bytes) in &documents.files {
        out.header(name, EntryType::Regular, bytes.len() as u64)?;
        out.out.write_all(bytes).map_err(ExportError::Write)?;
        out.pad(bytes.len() as u64)?;
    }
    out.out.write_all(&[0; 1024]).map_err(ExportError::Write)?;
    Ok(documents.manifest)
}

/// What is in an image besides its layer.
struct Documents {
    files: Vec<(String, Vec<u8>)>,
    manifest: Digest,
}

impl Documents {
    fn of(export: &Export<'_>, layer: &Descriptor) -> Result<Self, ExportError> {
        let json = |value: serde_json::Result<Vec<u8>>| {
            value.map_err(|error| ExportError::Write(error.into()))
        };
        let config = json(serde_json::to_vec(&config(export, &layer.digest)))?;
        let described = Descriptor::of(documents::CONFIG, &config);
        let manifest = Manifest::new(described.clone(), vec![layer.clone()]);
        let manifest = json(serde_json::to_vec(&manifest))?;
        let (name, tags) = match export.name {
            None => (None, Vec::new()),
            Some(name) => {
                let bad = |_| ExportError::BadName(name.to_owned());
                let reference: oci_spec::distribution::Reference = name.parse().map_err(bad)?;
                let tag = reference.tag().unwrap_or("latest");
                let short = name.strip_suffix(&format!(":{tag}")).unwrap_or(name);
                (Some(tag.to_owned()), vec![format!("{short}:{tag}")])
            }
        };
        let annotations: Annotations = name
            .into_iter()
            .map(|name| (documents::REF_NAME.to_owned(), name))
            .collect();
        let platform = Some(export.platform.clone());
        let index = Index {
            schema_version: 2,
            media_type: Some(documents::INDEX.to_owned()),
            manifests: vec![Descriptor {
                annotations,
                platform,
                ..Descriptor::of(documents::MANIFEST, &manifest)
            }],
        };
        let saved = serde_json::json!([{
            "Config": blob(&described.digest),
            "RepoTags": tags,
            "Layers": [blob(&layer.digest)],
        }]);
        let digest = Digest::of(&manifest);
        Ok(Self {
            files: vec![
                (blob(&described.digest), config),
                (blob(&digest), manifest),
                ("index.json".to_owned(), json(serde_json::to_vec(&index))?),
                (
                    "manifest.json".to_owned(),
                    json(serde_json::to_vec(&saved))?,
                ),
                (
                    "oci-layout".to_owned(),
                    br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
                ),
            ],
            manifest: digest,
        })
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn config(export: &Export<'_>, layer: &Digest) -> Config {
    let history = [("created_by".to_owned(), export.created_by.to_owned())];
    Config {
        platform: export.platform.clone(),
        config: export.config.clone(),
        rootfs: Layers {
            kind: "layers".to_owned(),
            diff_ids: vec![layer.to_string()],
        },
        history: vec![history.into()],
    }
}

/// Writes the files of an image's archive, which have nothing but names and contents.
struct Members<'a> {
    out: &'a mut dyn Write,
}

impl Members<'_> {
    fn header(&mut self, name: &str, kind: EntryType, size: u64) -> Result<(), ExportError> {
        let mut header = Header::new_ustar();
        let is_directory = kind == EntryType::Directory;
        header.set_path(name).map_err(ExportError::Write)?;
        header.set_entry_type(kind);
        header.set_mode(if is_directory { 0o755 } else { 0o644 });
        header.set_size(size);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        self.out
            .write_all(header.as_bytes())
            .map_err(ExportError::Write)
    }

    fn pad(&mut self, size: u64) -> Result<(), ExportError> {
        pad(self.out, size).map_err(ExportError::Write)
    }
}

fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    let zeros = [0; BLOCK as usize];
    let missing = usize::try_from((BLOCK - size % BLOCK) % BLOCK).unwrap_or_default();
    out.write_all(zeros.get(..missing).unwrap_or_default())
}
