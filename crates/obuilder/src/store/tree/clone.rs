//! Copies of trees that share the blocks of their files with the original.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, symlink,
};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, ioctl_ficlone, mknodat};

use super::{Times, copy_attributes};

/// Makes `to` a copy of the tree `from`: contents by reflink; owners, modes, times, extended attributes, hard links and
/// device nodes as they are.
pub(in crate::store) fn reflink_tree(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = Copy::default();
    copy.directory(from.to_owned(), to.to_owned(), &fs::symlink_metadata(from)?)?;
    // Each directory found is appended, and its turn comes.
    let mut turn = 0;
    while let Some(directory) = copy.directories.get(turn) {
        turn += 1;
        let (from, to) = (directory.from.clone(), directory.to.clone());
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            copy.entry(entry.path(), to.join(entry.file_name()))?;
        }
    }
    for Directory { to, times, .. } in copy.directories.iter().rev() {
        times.set(to)?;
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Copy {
    directories: Vec<Directory>,
    /// Where the files with several names have been copied to, by device and inode.
    linked: HashMap<(u64, u64), PathBuf>,
}

#[derive(Debug)]
struct Directory {
    from: PathBuf,
    to: PathBuf,
    times: Times,
}

impl Copy {
    fn directory(&mut self, from: PathBuf, to: PathBuf, metadata: &Metadata) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&to)?;
        copy_attributes(&from, metadata, &to, |_| true)?;
        let times = Times::of(metadata);
        self.directories.push(Directory { from, to, times });
        Ok(())
    }

    fn entry(&mut self, from: PathBuf, to: PathBuf) -> io::Result<()> {
        let metadata = fs::symlink_metadata(&from)?;
        if metadata.is_dir() {
            return self.directory(from, to, &metadata);
        }
        if metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = self.linked.get(&inode) {
                return fs::hard_link(first, to);
            }
            self.linked.insert(inode, to.clone());
        }
        file(&from, &metadata, &to, reflink)
    }
}

/// Makes `to` a copy of the file `from`, of whatever kind, with its content copied by the kernel.
pub(in crate::store) fn copy_file(from: &Path, metadata: &Metadata, to: &Path) -> io::Result<()> {
    file(from, metadata, to, |from, to| {
        io::copy(&mut &*from, &mut &*to).map(drop)
    })
}

/// Copies the file `from`, and does nothing if there is none.
pub(in crate::store) fn copy_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        // Upstream's overlays have a link to the base's.
        Ok(_) => fs::copy(from, to).map(drop),
    }
}

/// Lets the file `to` share the blocks of `from`.
pub(in crate::store) fn reflink(from: &File, to: &File) -> io::Result<()> {
    Ok(ioctl_ficlone(to, from)?)
}

fn file(
    from: &Path,
    metadata: &Metadata,
    to: &Path,
    copy_content: impl Fn(&File, &File) -> io::Result<()>,
) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if kind.is_file() {
        let to = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)?;
        copy_content(&File::open(from)?, &to)?;
    } else {
        let kind = if kind.is_block_device() {
            FileType::BlockDevice
        } else if kind.is_char_device() {
            FileType::CharacterDevice
        } else if kind.is_fifo() {
            FileType::Fifo
        } else {
            FileType::Socket
        };
        mknodat(CWD, to, kind, Mode::from_raw_mode(0o600), metadata.rdev())?;
    }
    copy_attributes(from, metadata, to, |_| true)?;
    Times::of(metadata).set(to)
}
