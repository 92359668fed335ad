//! Archives of images: finds their files, and the image to import.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use bstr::{BStr, BString};
use serde::Deserialize;

use super::Source;
use crate::Digest;
use crate::archive::{self, Archive, Kind};
use crate::compression::Compression;
use crate::documents::{self, Config, Descriptor};
use crate::library::{LibraryError, failed};
use crate::rootfs::names;

/// Directories at the top of a root filesystem, and never of an archive of images.
const ROOT_DIRECTORIES: [&str; 19] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root",
    "run", "sbin", "srv", "sys", "tmp", "usr", "var",
];

/// The most files that an archive of images has: three for a layer, in the oldest form.
const MAX_MEMBERS: usize = 10_000;

/// The longest list of other images' names in a message, in characters.
const MAX_NAMES: usize = 500;

/// An entry of the `manifest.json` of `docker save`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default, deserialize_with = "documents::few")]
    repo_tags: Vec<String>,
    #[serde(deserialize_with = "documents::few")]
    layers: Vec<String>,
}

/// The `manifest.json` of `docker save`.
#[derive(Debug, Deserialize)]
struct SavedImages(#[serde(deserialize_with = "documents::few")] Vec<SavedImage>);

/// The files of an archive that may be one of images.
#[derive(Debug, Default)]
pub(super) struct Members {
    files: BTreeMap<BString, Descriptor>,
    /// Files that are in there under a second name.
    links: BTreeMap<BString, BString>,
}

impl Source<'_> {
    /// Reads an archive of images to its end. Returns `None` as soon as it turns out to be a root filesystem.
    pub(super) fn members(&self, contents: impl Read) -> Result<Option<Members>, LibraryError> {
        let mut archive = Archive::new(contents);
        let mut members = Members::default();
        loop {
            let entry = match archive.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(Some(members)),
                Err(error) if members.is_empty() => {
                    return Err(self.refused(format!(
                        "it is not an image: expected an OCI layout, an archive of `docker save`, an archive of \
                         a root filesystem or a directory ({error})"
                    )));
                }
                Err(error) => return Err(self.unreadable(error)),
            };
            let path: Vec<BString> = names(entry.path.as_ref()).collect();
            let is_root = |name: &BString| ROOT_DIRECTORIES.iter().any(|known| name == known);
            if path.first().is_some_and(is_root) || members.len() > MAX_MEMBERS {
                return Ok(None);
            }
            let path: BString = bstr::join("/", &path).into();
            match &entry.kind {
                Kind::File { parts: None, .. } => {
                    let file = self.add(
                        "",
                        Contents {
                            archive: &mut archive,
                            entry,
                        },
                    )?;
                    members.files.insert(path, file);
                }
                Kind::Symlink(target) => {
                    let target = beside(path.as_ref(), target.as_ref());
                    members.links.insert(path, target);
                }
                Kind::HardLink(target) => {
                    members.links.insert(path, target.clone());
                }
                _ => {}
            }
        }
    }

    pub(super) fn image_in_archive(
        &self,
        members: &Members,
    ) -> Result<Option<(&'static str, Descriptor)>, LibraryError> {
        let read = |name: &str| -> Result<Option<Vec<u8>>, LibraryError> {
            let Some(file) = members.get(BStr::new(name)) else {
                return Ok(None);
            };
            self.library.library.read(&file.digest).map(Some)
        };
        let layout = members.get(BStr::new("oci-layout"));
        if let (Some(_), Some(index)) = (layout, read("index.json")?) {
            let find = |digest: &Digest| {
                let path = format!("blobs/sha256/{}", digest.hex());
                let blob = members.get(BStr::new(&path));
                blob.cloned()
                    .filter(|blob| blob.digest == *digest)
                    .ok_or_else(|| self.refused(format!("{digest} is missing or damaged")))
            };
            return Ok(Some(("OCI layout", self.image_in_index(&index, &find)?)));
        }
        let Some(manifest) = read("manifest.json")? else {
            return Ok(None);
        };
        let Ok(saved) = serde_json::from_slice::<SavedImages>(&manifest) else {
            return Ok(None);
        };
        Ok(Some(("docker save", self.saved_image(&saved.0, members)?)))
    }

    fn saved_image(
        &self,
        saved: &[SavedImage],
        members: &Members,
    ) -> Result<Descriptor, LibraryError> {
        let is_meant = |image: &&SavedImage| image.repo_tags.iter().any(|name| self.is_meant(name));
        let image = match saved {
            [image] => image,
            _ => saved.iter().find(is_meant).ok_or_else(|| {
                let names: Vec<&str> = saved
                    .iter()
                    .flat_map(|image| &image.repo_tags)
                    .map(String::as_str)
                    .collect();
                self.refused(format!(
                    "it has {} images, none of this name: {}",
                    saved.len(),
                    names.join(", ").chars().take(MAX_NAMES).collect::<String>()
                ))
            })?,
        };
        let get = |path: &String| {
            let missing = || self.refused(format!("{path:?} is missing"));
            members.get(BStr::new(path)).cloned().ok_or_else(missing)
        };
        let config = Descriptor {
            media_type: documents::CONFIG.to_owned(),
            ..get(&image.config)?
        };
        let content: Config =
            serde_json::from_slice(&self.library.library.read(&config.digest)?)
                .map_err(|error| self.refused(format!("its config is wrong: {error}")))?;
        self.check_platform(&content)?;
        let layers: Vec<Descriptor> = image.layers.iter().map(get).collect::<Result<_, _>>()?;
        for (layer, expected) in layers.iter().zip(&content.rootfs.diff_ids) {
            self.check_layer(layer, expected)?;
        }
        let layers = layers.into_iter();
        let layers = layers.map(|layer| Descriptor {
            media_type: documents::LAYER.to_owned(),
            ..layer
        });
        self.add_manifest(config, layers.collect())
    }

    /// Checks a layer against its digest in the config if it is not compressed, as with `docker save`.
    fn check_layer(&self, layer: &Descriptor, expected: &str) -> Result<(), LibraryError> {
        let path = self.library.library.blob(&layer.digest);
        let mut file = File::open(&path).map_err(failed("open", &path))?;
        let compression =
            Compression::of_file(&mut file).map_err(|error| self.unreadable(error))?;
        if compression == Compression::None && layer.digest.to_string() != expected {
            return Err(self.refused(format!(
                "a layer is damaged: its digest should be {expected}, but is {}",
                layer.digest
            )));
        }
        Ok(())
    }
}

impl Members {
    fn len(&self) -> usize {
        self.files.len() + self.links.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds a file, possibly through a link.
    fn get(&self, path: &BStr) -> Option<&Descriptor> {
        let path: BString = bstr::join("/", names(path)).into();
        self.files
            .get(&path)
            .or_else(|| self.files.get(self.links.get(&path)?))
    }
}

/// Returns where a symbolic link leads, in the archive.
fn beside(link: &BStr, target: &BStr) -> BString {
    let mut path: Vec<BString> = names(link).collect();
    path.pop();
    for name in names(target) {
        if name == ".." {
            path.pop();
        } else {
            path.push(name);
        }
    }
    bstr::join("/", path).into()
}

/// The contents of one file of an archive.
struct Contents<'a, R> {
    archive: &'a mut Archive<R>,
    entry: archive::Entry,
}

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.archive.read(&mut self.entry, buffer)
    }
}
