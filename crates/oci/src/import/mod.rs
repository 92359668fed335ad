//! Imports images from files and directories into the library. Their kind is detected.

mod members;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::archive::Archive;
use crate::compression::{Compression, Decompressed};
use crate::digest::{Digest, Hashing};
use crate::documents::{
    self, Config, Descriptor, Document, Index, Layers, MAX_DOCUMENT, Manifest, REF_NAME, choice,
};
use crate::export;
use crate::library::{Imported, Library, LibraryError, Locked, failed, whole_name};
use crate::platform::Platform;

/// How deep indexes may be nested.
const MAX_INDEXES: usize = 4;

/// An image to import.
#[derive(Debug, Clone)]
pub struct Import<'a> {
    /// The name that a spec will use.
    pub name: &'a str,
    /// A file or directory.
    pub path: &'a Path,
    /// The machine it is for.
    pub platform: &'a Platform,
    /// The time, as it is to be shown.
    pub when: String,
}

impl Library {
    /// Imports an image, in the place of any of that name. It takes as long as reading the image.
    ///
    /// # Errors
    /// If there is no image at the path, it is for another platform, or the system refuses.
    pub fn import(&self, import: &Import<'_>) -> Result<Imported, LibraryError> {
        let reference = whole_name(import.name)?;
        let library = self.lock()?;
        let metadata = import
            .path
            .metadata()
            .map_err(failed("read", import.path))?;
        let source = Source {
            import,
            library: &library,
        };
        let (kind, manifest) = if metadata.is_dir() {
            source.directory()?
        } else {
            source.file()?
        };
        if reference
            .digest()
            .is_some_and(|digest| digest != manifest.digest.to_string())
        {
            return Err(source.refused(format!(
                "its manifest has the digest {}, which is not the one in the name",
                manifest.digest
            )));
        }
        let document: Manifest = self.document(&manifest.digest)?;
        let absolute = std::path::absolute(import.path).map_err(failed("find", import.path))?;
        let image = Imported {
            name: reference.whole(),
            source: absolute.display().to_string(),
            kind: kind.to_owned(),
            digest: manifest.digest,
            size: document.layers.iter().map(|layer| layer.size).sum(),
            when: import.when.clone(),
        };
        library.name(&image, manifest)?;
        Ok(image)
    }
}

struct Source<'a> {
    import: &'a Import<'a>,
    library: &'a Locked<'a>,
}

impl Source<'_> {
    fn refused(&self, reason: impl Into<String>) -> LibraryError {
        LibraryError::Import {
            path: self.import.path.to_owned(),
            reason: reason.into(),
        }
    }

    /// Returns an error about the content of the file that is imported.
    fn unreadable(&self, error: io::Error) -> LibraryError {
        self.refused(error.to_string())
    }

    fn add(&self, media_type: &str, reader: impl Read) -> Result<Descriptor, LibraryError> {
        self.library
            .add(media_type, reader)
            .map_err(|error| match error {
                LibraryError::Io { source, .. } if is_of_contents(&source) => {
                    self.unreadable(source)
                }
                error => error,
            })
    }

    fn directory(&self) -> Result<(&'static str, Descriptor), LibraryError> {
        let index = self.import.path.join("index.json");
        if self.import.path.join("oci-layout").exists() && index.exists() {
            let index = read_small(&index).map_err(failed("read", &index))?;
            let find = |digest: &Digest| self.add_from_layout(digest);
            return Ok(("OCI layout", self.image_in_index(&index, &find)?));
        }
        let mut files =
            std::fs::read_dir(self.import.path).map_err(failed("read", self.import.path))?;
        if files.next().is_none() {
            return Err(self.refused("the directory is empty"));
        }
        // Through a pipe, so that the archive is written to the disk once only.
        let (reader, mut writer) =
            io::pipe().map_err(failed("create a pipe for", self.import.path))?;
        let path = self.import.path.to_owned();
        let packing = std::thread::spawn(move || export::write_tar(&path, &mut writer));
        let layer = self.add(documents::LAYER, reader)?;
        match packing.join() {
            Ok(Ok(())) => {
                let digest = layer.digest;
                self.single_layer(layer, digest)
                    .map(|image| ("directory", image))
            }
            Ok(Err(error)) => Err(self.refused(error.to_string())),
            Err(_) => Err(self.refused("packing it stopped")),
        }
    }

    /// Copies a blob from an OCI layout, and checks its digest.
    fn add_from_layout(&self, digest: &Digest) -> Result<Descriptor, LibraryError> {
        let path = self.import.path.join("blobs/sha256").join(digest.hex());
        let file = File::open(&path).map_err(failed("open", &path))?;
        let added = self.add("", file)?;
        if added.digest != *digest {
            return Err(self.refused(format!(
                "{} is damaged: its digest is {}",
                path.display(),
                added.digest
            )));
        }
        Ok(added)
    }

    fn file(&self) -> Result<(&'static str, Descriptor), LibraryError> {
        let path = self.import.path;
        let mut file = File::open(path).map_err(failed("open", path))?;
        Compression::of_file(&mut file).map_err(|error| self.unreadable(error))?;
        let again = file.try_clone().map_err(failed("open", path))?;
        let contents = Decompressed::of(again, None).map_err(failed("read", path))?;
        if let Some(members) = self.members(contents)?
            && let Some(image) = self.image_in_archive(&members)?
        {
            return Ok(image);
        }
        let (layer, contents) = self.root_archive()?;
        self.single_layer(layer, contents)
            .map(|image| ("root filesystem archive", image))
    }

    /// Finds the image in an index, and adds its parts to the library.
    fn image_in_index(
        &self,
        index: &[u8],
        find: &impl Fn(&Digest) -> Result<Descriptor, LibraryError>,
    ) -> Result<Descriptor, LibraryError> {
        let mut document = Document::read(index).map_err(|reason| self.refused(reason))?;
        for depth in 0..MAX_INDEXES {
            let Document::Index(index) = document else {
                break;
            };
            let chosen = self.choose(&index, depth == 0)?;
            find(&chosen.digest)?;
            let bytes = self.library.library.read(&chosen.digest)?;
            document = Document::read(&bytes).map_err(|reason| self.refused(reason))?;
            if let Document::Manifest(manifest) = &document {
                for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
                    find(&part.digest)?;
                }
                let config: Config = self.library.library.document(&manifest.config.digest)?;
                self.check_platform(&config)?;
                return Ok(Descriptor {
                    annotations: BTreeMap::new(),
                    ..chosen
                });
            }
        }
        Err(self.refused("its index has no image"))
    }

    fn choose(&self, index: &Index, is_outermost: bool) -> Result<Descriptor, LibraryError> {
        let all = &index.manifests;
        let named: Vec<&Descriptor> = all
            .iter()
            .filter(|image| {
                image
                    .annotations
                    .get(REF_NAME)
                    .is_some_and(|name| self.is_meant(name))
            })
            .collect();
        if let [image] = named.as_slice() {
            return Ok((*image).clone());
        }
        if let [image] = all.as_slice() {
            return Ok(image.clone());
        }
        if let Some(image) = choice::best(self.import.platform, all) {
            return Ok(image.clone());
        }
        let names: Vec<&str> = all
            .iter()
            .filter_map(|image| Some(image.annotations.get(REF_NAME)?.as_str()))
            .collect();
        Err(self.refused(if is_outermost && !names.is_empty() {
            format!(
                "it has several images, none of this name: {}",
                names.join(", ")
            )
        } else {
            self.no_platform(&choice::listed(all))
        }))
    }

    /// Returns whether a name in an index or archive means the image that is asked for.
    fn is_meant(&self, name: &str) -> bool {
        let Ok(wanted) = whole_name(self.import.name) else {
            return false;
        };
        wanted.tag() == Some(name) || whole_name(name).is_ok_and(|name| name == wanted)
    }

    fn check_platform(&self, config: &Config) -> Result<(), LibraryError> {
        if self.import.platform.runs(&config.platform) || config.platform == Platform::default() {
            return Ok(());
        }
        Err(self.refused(self.no_platform(&config.platform.to_string())))
    }

    fn no_platform(&self, there: &str) -> String {
        format!(
            "it has no image for {}, but for: {there}",
            self.import.platform
        )
    }

    /// Adds the file as it is: it is a layer, compressed or not. Also returns the digest of its decompressed content.
    fn root_archive(&self) -> Result<(Descriptor, Digest), LibraryError> {
        let path = self.import.path;
        let file = File::open(path).map_err(failed("open", path))?;
        let layer = self.add(documents::LAYER, file)?;
        let path = self.library.library.blob(&layer.digest);
        let mut file = File::open(&path).map_err(failed("open", &path))?;
        let compression =
            Compression::of_file(&mut file).map_err(|error| self.unreadable(error))?;
        let contents = Decompressed::of(file, None).map_err(failed("read", &path))?;
        if compression == Compression::None {
            self.check_root_archive(contents)?;
            let digest = layer.digest;
            return Ok((layer, digest));
        }
        let contents = self.check_root_archive(Hashing::new(contents))?;
        let (_, digest, _) = contents.finish();
        Ok((layer, digest))
    }

    /// Reads an archive to its end, and returns its reader. So a damaged file is reported now, and not at the first
    /// build.
    fn check_root_archive<R: Read>(&self, contents: R) -> Result<R, LibraryError> {
        let mut archive = Archive::new(contents);
        let mut is_empty = true;
        while archive
            .next()
            .map_err(|error| self.unreadable(error))?
            .is_some()
        {
            is_empty = false;
        }
        if is_empty {
            return Err(self.refused("the archive is empty"));
        }
        archive.finish().map_err(|error| self.unreadable(error))
    }

    fn single_layer(
        &self,
        layer: Descriptor,
        contents: Digest,
    ) -> Result<Descriptor, LibraryError> {
        let config = Config {
            platform: self.import.platform.clone(),
            rootfs: Layers {
                kind: "layers".to_owned(),
                diff_ids: vec![contents.to_string()],
            },
            ..Config::default()
        };
        let config =
            serde_json::to_vec(&config).map_err(|error| self.refused(error.to_string()))?;
        let config = self.add(documents::CONFIG, config.as_slice())?;
        self.add_manifest(config, vec![layer])
    }

    fn add_manifest(
        &self,
        config: Descriptor,
        layers: Vec<Descriptor>,
    ) -> Result<Descriptor, LibraryError> {
        let manifest = serde_json::to_vec(&Manifest::new(config, layers));
        let manifest = manifest.map_err(|error| self.refused(error.to_string()))?;
        self.add(documents::MANIFEST, manifest.as_slice())
    }
}

fn is_of_contents(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof, Unsupported};
    matches!(
        error.kind(),
        InvalidData | InvalidInput | UnexpectedEof | Unsupported
    )
}

fn read_small(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_DOCUMENT)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
