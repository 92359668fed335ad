//! The images that were imported by hand: an OCI image layout under the state directory, which other programs can read.
//!
//! A blob appears under its digest as a whole, and an image exists when the index names it. Files that the index does
//! not reach are left over from interrupted imports, and are removed by the next import or removal.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use oci_spec::distribution::Reference;
use rustix::fs::FlockOperation;
use serde::de::DeserializeOwned;

use crate::digest::{Digest, Hashing};
use crate::documents::{
    self, Config, Descriptor, IMPORTED, Index, KIND, MAX_DOCUMENT, Manifest, SIZE, SOURCE,
};

/// Size of a read or write, in bytes.
const BUFFER: usize = 256 << 10;

/// The images that were imported by hand.
#[derive(Debug, Clone)]
pub struct Library {
    root: PathBuf,
}

/// An imported image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its whole name.
    pub name: String,
    /// The file or directory it came from.
    pub source: String,
    /// The kind of file or directory, in words.
    pub kind: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The size of its layers, in bytes.
    pub size: u64,
    /// When it was imported.
    pub when: String,
}

/// Why an operation on imported images failed.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It is not the name of an image.
    #[error("{name:?} is not the name of an image: {reason}")]
    BadName {
        /// What was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or directory cannot be imported.
    #[error("cannot import {}: {reason}", .path.display())]
    Import {
        /// What was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The content of a file of the library has changed.
    #[error(
        "cannot use {}: it is damaged: {reason}; remove the image with `obuilder image rm` and import it again",
        .path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A system call failed.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was attempted: "read".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// An imported image, opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) imported: Imported,
    pub(crate) config: Config,
    pub(crate) layers: Vec<(Descriptor, File)>,
}

/// The lock on a library, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    pub(crate) library: &'a Library,
    _lock: File,
}

/// Returns the whole name of an image: `docker.io/library/busybox:latest` for `busybox`.
pub(crate) fn whole_name(name: &str) -> Result<Reference, LibraryError> {
    name.parse().map_err(|error| LibraryError::BadName {
        name: name.to_owned(),
        reason: format!("{error}"),
    })
}

pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LibraryError {
    let path = path.to_owned();
    move |source| LibraryError::Io {
        action,
        path,
        source,
    }
}

impl Library {
    /// Returns the images that were imported into `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        Self {
            root: state_dir.join("images"),
        }
    }

    /// Returns the imported images, by name.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn list(&self) -> Result<Vec<Imported>, LibraryError> {
        let mut images: Vec<Imported> = self.index()?.manifests.iter().map(imported).collect();
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// Returns the image that a name means, or `None` if none was imported under it.
    pub(crate) fn find(&self, name: &Reference) -> Result<Option<Imported>, LibraryError> {
        // Replaced as a whole, so it can be read at any time.
        let whole = name.whole();
        let images = self.index()?.manifests;
        let mut named = images.iter().map(imported);
        Ok(named.find(|image| image.name == whole))
    }

    /// Removes an image, and what no other image needs of it. Returns whether there was one.
    ///
    /// # Errors
    /// If the name is invalid, or the system refuses.
    pub fn remove(&self, name: &str) -> Result<bool, LibraryError> {
        let name = whole_name(name)?.whole();
        if !self.root.exists() {
            return Ok(false);
        }
        let library = self.lock()?;
        let mut index = self.index()?;
        let before = index.manifests.len();
        index
            .manifests
            .retain(|image| image.annotations.get(documents::REF_NAME) != Some(&name));
        let removed = index.manifests.len() < before;
        library.write_index(&index)?;
        Ok(removed)
    }

    /// Opens an image by any of its names, or returns `None` if it was not imported.
    pub(crate) fn open(&self, name: &Reference) -> Result<Option<Opened>, LibraryError> {
        if !self.root.exists() {
            return Ok(None);
        }
        // Until the files are open, they must not be removed.
        let _lock = self.locked(FlockOperation::LockShared)?;
        let index = self.index()?;
        let whole = name.whole();
        let is_it =
            |image: &&Descriptor| image.annotations.get(documents::REF_NAME) == Some(&whole);
        let Some(image) = index.manifests.iter().find(is_it) else {
            return Ok(None);
        };
        let manifest: Manifest = self.document(&image.digest)?;
        let open = |layer: &Descriptor| {
            let path = self.blob(&layer.digest);
            let file = File::open(&path).map_err(failed("open", &path))?;
            Ok((layer.clone(), file))
        };
        Ok(Some(Opened {
            imported: imported(image),
            config: self.document(&manifest.config.digest)?,
            layers: manifest
                .layers
                .iter()
                .map(open)
                .collect::<Result<_, LibraryError>>()?,
        }))
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Creates the library if it is missing, and locks it for changes.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, LibraryError> {
        for directory in [self.root.join("blobs/sha256"), self.incoming()] {
            fs::create_dir_all(&directory).map_err(failed("create", &directory))?;
        }
        let layout = self.root.join("oci-layout");
        if !layout.exists() {
            let version = r#"{"imageLayoutVersion":"1.0.0"}"#;
            fs::write(&layout, version).map_err(failed("write", &layout))?;
        }
        let lock = self.locked(FlockOperation::LockExclusive)?;
        let locked = Locked {
            library: self,
            _lock: lock,
        };
        locked.clear_incoming()?;
        Ok(locked)
    }

    /// Where files are until their digest is known. On the same filesystem, so that they can be renamed.
    fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    fn locked(&self, operation: FlockOperation) -> Result<File, LibraryError> {
        let path = self.root.join("lock");
        let lock = File::options().create(true).append(true).open(&path);
        let lock = lock.map_err(failed("open", &path))?;
        rustix::fs::flock(&lock, operation).map_err(|e| failed("lock", &path)(e.into()))?;
        Ok(lock)
    }

    fn index(&self) -> Result<Index, LibraryError> {
        let path = self.root.join("index.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| LibraryError::Damaged {
                path,
                reason: error.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index {
                schema_version: 2,
                media_type: Some(documents::INDEX.to_owned()),
                manifests: Vec::new(),
            }),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Reads a blob that is a document.
    pub(crate) fn document<T: DeserializeOwned>(&self, digest: &Digest) -> Result<T, LibraryError> {
        let bytes = self.read(digest)?;
        serde_json::from_slice(&bytes).map_err(|error| LibraryError::Damaged {
            path: self.blob(digest),
            reason: error.to_string(),
        })
    }

    /// Reads a small blob.
    pub(crate) fn read(&self, digest: &Digest) -> Result<Vec<u8>, LibraryError> {
        let path = self.blob(digest);
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(failed("open", &path))?;
        file.take(MAX_DOCUMENT + 1)
            .read_to_end(&mut bytes)
            .map_err(failed("read", &path))?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(LibraryError::Damaged {
                path,
                reason: format!("a document may have at most {MAX_DOCUMENT} bytes"),
            });
        }
        Ok(bytes)
    }
}

impl Locked<'_> {
    /// Stores the bytes of `reader` as a blob, and returns its descriptor.
    pub(crate) fn add(
        &self,
        media_type: &str,
        mut reader: impl Read,
    ) -> Result<Descriptor, LibraryError> {
        let incoming = self.library.incoming();
        let file = tempfile::NamedTempFile::new_in(&incoming);
        let file = file.map_err(failed("write to", &incoming))?;
        let mut file = Hashing::new(file);
        copy(&mut reader, &mut file).map_err(failed("write to", &incoming))?;
        let (file, digest, size) = file.finish();
        let path = self.library.blob(&digest);
        file.persist(&path)
            .map_err(|error| failed("write", &path)(error.error))?;
        Ok(Descriptor {
            digest,
            size,
            ..Descriptor::of(media_type, b"")
        })
    }

    /// Lists an image in the index, in the place of an older one of that name.
    pub(crate) fn name(&self, image: &Imported, manifest: Descriptor) -> Result<(), LibraryError> {
        let mut index = self.library.index()?;
        index
            .manifests
            .retain(|old| old.annotations.get(documents::REF_NAME) != Some(&image.name));
        let annotations = [
            (documents::REF_NAME, image.name.clone()),
            (SOURCE, image.source.clone()),
            (KIND, image.kind.clone()),
            (IMPORTED, image.when.clone()),
            (SIZE, image.size.to_string()),
        ];
        let annotations = annotations
            .map(|(key, value)| (key.to_owned(), value))
            .into();
        index.manifests.push(Descriptor {
            annotations,
            ..manifest
        });
        self.write_index(&index)
    }

    /// Replaces the index, and removes the blobs that the new one does not reach.
    fn write_index(&self, index: &Index) -> Result<(), LibraryError> {
        let path = self.library.root.join("index.json");
        let incoming = self.library.incoming().join("index.json");
        let write = || -> io::Result<()> {
            let mut file = File::create(&incoming)?;
            file.write_all(&serde_json::to_vec(index)?)?;
            // It is small, and a power cut must not leave an empty one under the name.
            file.sync_all()?;
            fs::rename(&incoming, &path)
        };
        write().map_err(failed("write", &path))?;
        self.collect(index)
    }

    fn collect(&self, index: &Index) -> Result<(), LibraryError> {
        let mut needed = BTreeSet::new();
        for image in &index.manifests {
            needed.insert(image.digest.hex());
            // A damaged image is reported when it is used. Its other files are of no use.
            let manifest = self.library.document::<Manifest>(&image.digest);
            let Ok(manifest) = manifest else { continue };
            needed.insert(manifest.config.digest.hex());
            needed.extend(manifest.layers.iter().map(|layer| layer.digest.hex()));
        }
        let blobs = self.library.root.join("blobs/sha256");
        for entry in fs::read_dir(&blobs).map_err(failed("read", &blobs))? {
            let entry = entry.map_err(failed("read", &blobs))?;
            let is_needed = entry
                .file_name()
                .to_str()
                .is_some_and(|name| needed.contains(name));
            if !is_needed {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    fn clear_incoming(&self) -> Result<(), LibraryError> {
        let incoming = self.library.incoming();
        for entry in fs::read_dir(&incoming).map_err(failed("read", &incoming))? {
            let path = entry.map_err(failed("read", &incoming))?.path();
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        Ok(())
    }
}

/// Copies to the end, in pieces that are worth a system call each.
fn copy(reader: &mut impl Read, writer: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        match buffer.get(..read) {
            Some([]) | None => return Ok(()),
            Some(bytes) => writer.write_all(bytes)?,
        }
    }
}

fn imported(image: &Descriptor) -> Imported {
    let get = |key| image.annotations.get(key).cloned().unwrap_or_default();
    Imported {
        name: get(documents::REF_NAME),
        source: get(SOURCE),
        kind: get(KIND),
        digest: image.digest,
        size: get(SIZE).parse().unwrap_or_default(),
        when: get(IMPORTED),
    }
}
