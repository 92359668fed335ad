//! Writes the files of a manifest to a root filesystem.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use bstr::BString;
use obuilder_spec::User;
use rustix::fs::Mode;
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::destination::{Destination, Owner};
use super::files::{self, BUFFER_SIZE, Digest, Trail};
use super::image::{Directory, Image};
use super::manifest::{Content, Entry, Item, Manifest};
use super::{CopyError, check};

/// Copies the files of a manifest to the root filesystem `rootfs`, with the owner `owner`.
///
/// After an error some files may exist: the caller discards the draft.
///
/// # Errors
/// If a source has changed, a file cannot be read or written, or `cancel` fired.
pub fn write(
    manifest: &Manifest,
    rootfs: &Path,
    owner: &User,
    cancel: &CancellationToken,
) -> Result<(), CopyError> {
    let root = files::open_root(&manifest.root).map_err(|source| CopyError::Read {
        path: BString::from(manifest.root.as_os_str().as_encoded_bytes()),
        source,
    })?;
    let mut writer = Writer {
        trail: Trail::default(),
        image: Image::open(rootfs, Owner::of(owner)?)?,
        buffer: vec![0; BUFFER_SIZE],
        cancel,
    };
    let mut open = vec![writer.image.enter_root()?];
    let (parents, rename) = split(&manifest.destination);
    for name in parents {
        if let Some(parent) = open.last() {
            let directory = writer.image.enter(parent, name, 0)?;
            open.push(directory);
        }
    }
    for item in &manifest.items {
        if let Some(into) = open.last_mut() {
            writer.item(&root, item, into, rename)?;
        }
    }
    while let Some(directory) = open.pop() {
        writer.image.leave(directory)?;
    }
    Ok(())
}

/// Returns the directory of a source in the image, and its new name if it has one. Nothing if the source becomes the
/// root.
fn split(destination: &Destination) -> (&[BString], Option<&[u8]>) {
    let names = destination.names.as_slice();
    match names.split_last() {
        _ if destination.is_directory => (names, None),
        Some((last, parents)) => (parents, Some(last)),
        None => (names, Some(b"")),
    }
}

struct Writer<'a> {
    /// The current path, from the root of the source.
    trail: Trail,
    image: Image,
    buffer: Vec<u8>,
    cancel: &'a CancellationToken,
}

impl Writer<'_> {
    /// Copies one source into a directory.
    fn item(
        &mut self,
        root: &OwnedFd,
        item: &Item,
        into: &mut Directory,
        rename: Option<&[u8]>,
    ) -> Result<(), CopyError> {
        self.trail = Trail::default();
        let mut parent = root
            .try_clone()
            .map_err(|source| self.trail.cannot_read(source))?;
        for name in &item.parents {
            self.trail.enter(name)?;
            parent = self.open(&parent, name)?;
        }
        self.trail.enter(&item.entry.name)?;
        self.entry(
            &parent,
            &item.entry,
            into,
            rename.unwrap_or(&item.entry.name),
        )
    }

    /// Copies the entries of a directory to the directory `name` in another, or to that directory itself if `name` is
    /// empty.
    fn entry(
        &mut self,
        parent: &OwnedFd,
        entry: &Entry,
        into: &mut Directory,
        name: &[u8],
    ) -> Result<(), CopyError> {
        check(self.cancel)?;
        let mtime = entry.mtime;
        match &entry.content {
            Content::File { .. } | Content::Symlink { .. } if name.is_empty() => {
                Err(CopyError::InTheWay("/".into()))
            }
            Content::File {
                digest,
                size,
                executable,
            } => {
                let from = File::from(
                    files::open_file(parent, &entry.name).map_err(|e| self.cannot_read(e))?,
                );
                let mode = Mode::from_raw_mode(if *executable { 0o755 } else { 0o644 });
                self.file(from, (digest, *size), into, name, (mode, mtime))
            }
            Content::Symlink { target } => self.image.symlink(into, name, target, mtime),
            Content::Directory { entries } if name.is_empty() => {
                self.image.date(into, mtime)?;
                let directory = self.open(parent, &entry.name)?;
                self.entries(&directory, entries, into)
            }
            Content::Directory { entries } => {
                let directory = self.open(parent, &entry.name)?;
                let mut into = self.image.enter(into, name, mtime)?;
                self.entries(&directory, entries, &mut into)?;
                self.image.leave(into)
            }
        }
    }

    fn entries(
        &mut self,
        directory: &OwnedFd,
        entries: &[Entry],
        into: &mut Directory,
    ) -> Result<(), CopyError> {
        for entry in entries {
            let mark = self.trail.enter(&entry.name)?;
            self.entry(directory, entry, into, &entry.name)?;
            self.trail.back_to(mark);
        }
        Ok(())
    }

    /// Copies a regular file, if it has not changed.
    fn file(
        &mut self,
        mut from: File,
        (digest, size): (&Digest, u64),
        into: &Directory,
        name: &[u8],
        attributes: (Mode, i64),
    ) -> Result<(), CopyError> {
        let Self {
            trail,
            image,
            buffer,
            cancel,
        } = self;
        let is_sparse = files::is_sparse(&from);
        image.file(into, name, attributes, |to, failed| {
            let copied = files::digest(&mut from, size, buffer, trail, |bytes| {
                check(cancel)?;
                let written = if is_sparse && bytes.iter().all(|byte| *byte == 0) {
                    to.seek_relative(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
                } else {
                    to.write_all(bytes)
                };
                written.map_err(|e| failed.because(e))
            })?;
            if is_sparse {
                // The file may end with a hole.
                to.set_len(size).map_err(|e| failed.because(e))?;
            }
            if copied != *digest {
                return Err(CopyError::Changed(trail.path()));
            }
            Ok(())
        })
    }

    /// Opens a directory of the source. The root has no name.
    fn open(&self, parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, CopyError> {
        if name.is_empty() {
            return parent.try_clone().map_err(|e| self.trail.cannot_read(e));
        }
        files::open_directory(parent, name).map_err(|e| self.cannot_read(e))
    }

    /// Returns the error for an entry that cannot be opened.
    fn cannot_read(&self, errno: Errno) -> CopyError {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => CopyError::Changed(self.trail.path()),
            errno => self.trail.cannot_read(errno),
        }
    }
}
