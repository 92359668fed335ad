//! Writes what a step has changed, as a layer: the tree before it and the tree after it are compared.
//!
//! Both trees are read, so that this works with every store. Files that the kernel knows as the same, by inode and by
//! the time of the inode's last change, are not opened.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};
use tokio_util::sync::CancellationToken;

use super::ExportError;
use super::tree::{TreeWriter, xattrs};

/// Size of a read, in bytes.
const BUFFER: usize = 128 << 10;

/// The prefix of a whiteout, which no file of a layer can have in its name.
const WHITEOUT: &[u8] = b".wh.";

/// Writes the changes from the tree `base` to the tree `result` as a layer of an image: an uncompressed tar archive,
/// with a whiteout for each file that is gone. The same two trees give the same bytes.
///
/// Put on a copy of `base` with [`apply_layer`](crate::apply_layer), it makes a copy of `result`. Sockets are left
/// out, and the times of last access.
///
/// # Errors
/// If a file cannot be read or cannot be in a layer, `out` cannot be written, or `cancel` fired.
pub fn write_changes(
    base: &Path,
    result: &Path,
    out: &mut dyn Write,
    cancel: &CancellationToken,
) -> Result<(), ExportError> {
    let mut changes = Changes {
        writer: TreeWriter {
            out,
            links: HashMap::new(),
        },
        cancel,
        buffers: [vec![0; BUFFER], vec![0; BUFFER]],
    };
    let metadata = |path: &Path| path.symlink_metadata().map_err(unreadable(path));
    let (before, after) = (metadata(base)?, metadata(result)?);
    if !changes.is_same(base, &before, result, &after)? {
        changes.writer.entry(result, b"./", &after)?;
    }
    changes.directory(Some(base), result, &mut Vec::new())?;
    let out = changes.writer.out;
    out.write_all(&[0; 1024]).map_err(ExportError::Write)
}

/// One comparison.
struct Changes<'a> {
    writer: TreeWriter<'a>,
    cancel: &'a CancellationToken,
    buffers: [Vec<u8>; 2],
}

impl Changes<'_> {
    /// Writes the changes in a directory. Without a `base` it is new as a whole.
    fn directory(
        &mut self,
        base: Option<&Path>,
        result: &Path,
        name: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        if self.cancel.is_cancelled() {
            return Err(ExportError::Write(io::ErrorKind::Interrupted.into()));
        }
        let mut before = match base {
            Some(base) => entries(base)?,
            None => BTreeMap::new(),
        };
        for (entry, after) in entries(result)? {
            let path = result.join(&entry);
            let length = name.len();
            name.extend_from_slice(entry.as_bytes());
            let old = before.remove(&entry);
            let old = old.map(|old| (base.unwrap_or(result).join(&entry), old));
            self.entry(old, &path, &after, &entry, name)?;
            name.truncate(length);
        }
        for gone in before.into_keys() {
            let length = name.len();
            name.extend_from_slice(WHITEOUT);
            name.extend_from_slice(gone.as_bytes());
            self.white_out(name)?;
            name.truncate(length);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        old: Option<(PathBuf, Metadata)>,
        path: &Path,
        after: &Metadata,
        entry: &OsString,
        name: &mut Vec<u8>,
    ) -> Result<(), ExportError> {
        let is_same = match &old {
            Some((old, before)) => self.is_same(old, before, path, after)?,
            None => false,
        };
        if !is_same && (entry.as_bytes().starts_with(WHITEOUT) || is_whiteout_device(after)) {
            return Err(ExportError::NotForLayers(path.to_owned()));
        }
        if !after.is_dir() {
            return if is_same {
                // A new name for it may follow, which is written as a link to this one.
                self.writer.first_name(name, after);
                Ok(())
            } else {
                self.writer.entry(path, name, after)
            };
        }
        name.push(b'/');
        if !is_same {
            self.writer.entry(path, name, after)?;
        }
        let old = old.filter(|(_, before)| before.is_dir());
        self.directory(old.as_ref().map(|(old, _)| old.as_path()), path, name)
    }

    /// Returns whether two files are the same, in all that a layer has of them.
    fn is_same(
        &mut self,
        old: &Path,
        before: &Metadata,
        new: &Path,
        after: &Metadata,
    ) -> Result<bool, ExportError> {
        let described = |file: &Metadata| {
            let size = if file.is_dir() { 0 } else { file.size() };
            let device = (file.file_type().is_char_device() || file.file_type().is_block_device())
                .then(|| file.rdev());
            let owner = (file.mode(), file.uid(), file.gid());
            (owner, file.mtime(), file.mtime_nsec(), size, device)
        };
        if described(before) != described(after) {
            return Ok(false);
        }
        let kernels = |file: &Metadata| (file.ino(), file.ctime(), file.ctime_nsec());
        if !after.is_dir() && kernels(before) == kernels(after) {
            return Ok(true);
        }
        let (mut attributes, mut others) = (Vec::new(), Vec::new());
        xattrs(old, &mut attributes).map_err(unreadable(old))?;
        xattrs(new, &mut others).map_err(unreadable(new))?;
        if attributes != others {
            return Ok(false);
        }
        if after.is_symlink() {
            let read = |path: &Path| fs::read_link(path).map_err(unreadable(path));
            return Ok(read(old)? == read(new)?);
        }
        if after.is_file() {
            return self.has_same_content(old, new);
        }
        Ok(true)
    }

    fn has_same_content(&mut self, old: &Path, new: &Path) -> Result<bool, ExportError> {
        let (mut first, mut second) = (open(old)?, open(new)?);
        let [a, b] = &mut self.buffers;
        loop {
            let read = fill(&mut first, a).map_err(unreadable(old))?;
            let other = fill(&mut second, b).map_err(unreadable(new))?;
            if a.get(..read) != b.get(..other) {
                return Ok(false);
            }
            if read == 0 {
                return Ok(true);
            }
        }
    }

    fn white_out(&mut self, name: &[u8]) -> Result<(), ExportError> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(0);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.writer.named(header, name)
    }
}

/// A device that means "nothing is here" to an overlay filesystem.
fn is_whiteout_device(file: &Metadata) -> bool {
    file.file_type().is_char_device() && file.rdev() == 0
}

fn entries(directory: &Path) -> Result<BTreeMap<OsString, Metadata>, ExportError> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
        let entry = entry.map_err(unreadable(directory))?;
        let path = entry.path();
        let metadata = path.symlink_metadata().map_err(unreadable(&path))?;
        // The writer leaves them out, and one that is gone needs no whiteout.
        if !metadata.file_type().is_socket() {
            entries.insert(entry.file_name(), metadata);
        }
    }
    Ok(entries)
}

fn open(path: &Path) -> Result<File, ExportError> {
    super::tree::open_itself(path).map_err(unreadable(path))
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let path = path.to_owned();
    move |source| ExportError::Read { path, source }
}
