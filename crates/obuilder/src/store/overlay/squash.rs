//! Merges layers into one.
//!
//! The new layer's files are hard links to those of the old ones, which never change, so it takes little space and
//! time. In exchange a file may have a higher link count than in the build.
//!
//! A deleted file is a *whiteout*, a device numbered 0, and a directory that hides the one below is *opaque*. Both
//! are kept only where a layer below has something to hide: in a directory that no layer below has, the kernel
//! would show the whiteout.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::store::StoreError;
use crate::store::error::Cannot as _;
use crate::store::tree;

use super::layers::is_not_ours;

const OPAQUE: &CStr = c"trusted.overlay.opaque";
const REDIRECT: &CStr = c"trusted.overlay.redirect";
const METACOPY: &CStr = c"trusted.overlay.metacopy";

/// Makes `to` a layer that has the same effect over `image` as `layers`, the newest first.
pub(super) fn squash(
    layers: &[PathBuf],
    image: Option<&Path>,
    to: &Path,
) -> Result<(), StoreError> {
    let mut pending = vec![Merge {
        sources: layers.to_vec(),
        below: image.map(Path::to_owned),
        to: to.to_owned(),
        hides_below: false,
    }];
    let mut done = Vec::new();
    while let Some(merge) = pending.pop() {
        let to = merge.to.clone();
        let times = merge
            .perform(&mut pending)
            .cannot("merge layers into", &to)?;
        done.push((to, times));
    }
    // A new entry changes the times of its directory, so inner directories come first.
    for (path, times) in done.iter().rev() {
        times.set(path).cannot("set the times of", path)?;
    }
    Ok(())
}

/// A directory to create.
#[derive(Debug)]
struct Merge {
    /// Its layers, the newest first. Never empty.
    sources: Vec<PathBuf>,
    /// The directory of the image below it.
    below: Option<PathBuf>,
    to: PathBuf,
    hides_below: bool,
}

/// The merged entry of a name, as far as the layers have been read.
#[derive(Debug)]
enum Entry {
    Whiteout(PathBuf),
    File(PathBuf, Metadata),
    Directory {
        sources: Vec<PathBuf>,
        /// Whether older layers are hidden.
        is_complete: bool,
    },
}

impl Merge {
    fn perform(self, pending: &mut Vec<Self>) -> io::Result<tree::Times> {
        let Some(newest) = self.sources.first() else {
            return Err(io::Error::other("a directory without layers"));
        };
        let metadata = fs::symlink_metadata(newest)?;
        fs::create_dir(&self.to)?;
        tree::copy_attributes(newest, &metadata, &self.to, is_not_ours)?;
        if self.hides_below {
            tree::set_attribute(&self.to, OPAQUE, b"y")?;
        }
        for (name, entry) in self.entries()? {
            let to = self.to.join(&name);
            let below = self.below.as_ref().map(|below| below.join(&name));
            let kind_below = match &below {
                Some(path) => kind_of(path)?,
                None => None,
            };
            match entry {
                Entry::Whiteout(_) if kind_below.is_none() => {}
                Entry::Whiteout(from) => link(&from, &fs::symlink_metadata(&from)?, &to)?,
                Entry::File(from, metadata) => link(&from, &metadata, &to)?,
                Entry::Directory {
                    sources,
                    is_complete,
                } => {
                    let is_dir_below = kind_below.is_some_and(|kind| kind.is_dir());
                    pending.push(Self {
                        sources,
                        below: below.filter(|_| is_dir_below && !is_complete),
                        to,
                        hides_below: is_dir_below && is_complete,
                    });
                }
            }
        }
        Ok(tree::Times::of(&metadata))
    }

    fn entries(&self) -> io::Result<BTreeMap<OsString, Entry>> {
        let mut entries = BTreeMap::new();
        for source in &self.sources {
            for file in fs::read_dir(source)? {
                let file = file?;
                let metadata = file.metadata()?;
                let seen = entries.remove(&file.file_name());
                let entry = add(seen, file.path(), metadata)?;
                entries.insert(file.file_name(), entry);
            }
        }
        Ok(entries)
    }
}

/// Returns the merged entry of a name: newer layers have `seen`, and the next layer has the file `path`.
fn add(seen: Option<Entry>, path: PathBuf, metadata: Metadata) -> io::Result<Entry> {
    refuse_references(&path, &metadata)?;
    Ok(match seen {
        None if metadata.is_dir() => Entry::Directory {
            is_complete: is_opaque(&path)?,
            sources: vec![path],
        },
        None if is_whiteout(&metadata) => Entry::Whiteout(path),
        None => Entry::File(path, metadata),
        Some(Entry::Directory {
            mut sources,
            is_complete: false,
        }) => {
            // A file, or a whiteout, ends it as an opaque directory does.
            let is_complete = !metadata.is_dir() || is_opaque(&path)?;
            if metadata.is_dir() {
                sources.push(path);
            }
            Entry::Directory {
                sources,
                is_complete,
            }
        }
        Some(complete) => complete,
    })
}

/// Fails for an entry that refers to another file. Our mounts never create such entries, but those of upstream may, if
/// that is the kernel's default.
fn refuse_references(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let name = if metadata.is_dir() {
        REDIRECT
    } else if metadata.is_file() {
        METACOPY
    } else {
        return Ok(());
    };
    match tree::attribute(path, name)? {
        None => Ok(()),
        Some(_) => Err(io::Error::other(format!(
            "{path:?} refers to another layer: delete the result and build it again"
        ))),
    }
}

fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn is_opaque(path: &Path) -> io::Result<bool> {
    Ok(tree::attribute(path, OPAQUE)?.is_some_and(|value| value == b"y"))
}

fn kind_of(path: &Path) -> io::Result<Option<fs::FileType>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a hard link to a file, or copies the file if it has as many links as the filesystem allows.
fn link(from: &Path, metadata: &Metadata, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::TooManyLinks => {
            tree::copy_file(from, metadata, to)
        }
        other => other,
    }
}
