//! Copies of trees.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, symlink,
};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ioctl_ficlone, mknodat, seek};
use rustix::io::Errno;

use super::{Times, copy_attributes, open_below, open_top, path_to};

/// A function that copies the content of a file.
type CopyContent = fn(&File, &File) -> io::Result<()>;

/// Makes `to` a copy of the tree `from`: contents by reflink; owners, modes, times, extended attributes, hard links and
/// device nodes as they are.
pub(in crate::store) fn reflink_tree(from: &Path, to: &Path) -> io::Result<()> {
    copy_tree_by(from, to, reflink)
}

/// Makes `to` a copy of the tree `from`, as [`reflink_tree`] does, with contents copied by the kernel.
pub(in crate::store) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    copy_tree_by(from, to, copy_content)
}

fn copy_tree_by(from: &Path, to: &Path, content: CopyContent) -> io::Result<()> {
    let top = open_top(from)?;
    let mut copy = Copy {
        directories: Vec::new(),
        linked: HashMap::new(),
        content,
    };
    let metadata = fs::symlink_metadata(from)?;
    copy.directory(from, PathBuf::new(), to.to_owned(), &metadata)?;
    // Directories are appended as they are found.
    let mut turn = 0;
    while let Some(directory) = copy.directories.get(turn) {
        turn += 1;
        let (below, to) = (directory.below.clone(), directory.to.clone());
        let opened = open_below(&top, &below)?;
        let from = path_to(&opened);
        for entry in fs::read_dir(&from)? {
            let name = entry?.file_name();
            copy.entry(&from.join(&name), below.join(&name), to.join(&name))?;
        }
    }
    for Directory { to, times, .. } in copy.directories.iter().rev() {
        times.set(to)?;
    }
    Ok(())
}

#[derive(Debug)]
struct Copy {
    directories: Vec<Directory>,
    /// The copies of files with several names, by device and inode.
    linked: HashMap<(u64, u64), PathBuf>,
    content: CopyContent,
}

#[derive(Debug)]
struct Directory {
    /// Its path from the top of the tree.
    below: PathBuf,
    to: PathBuf,
    times: Times,
}

impl Copy {
    fn directory(
        &mut self,
        from: &Path,
        below: PathBuf,
        to: PathBuf,
        metadata: &Metadata,
    ) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&to)?;
        copy_attributes(from, metadata, &to, |_| true)?;
        let times = Times::of(metadata);
        self.directories.push(Directory { below, to, times });
        Ok(())
    }

    fn entry(&mut self, from: &Path, below: PathBuf, to: PathBuf) -> io::Result<()> {
        let metadata = fs::symlink_metadata(from)?;
        if metadata.is_dir() {
            return self.directory(from, below, to, &metadata);
        }
        if metadata.nlink() > 1 {
            let inode = (metadata.dev(), metadata.ino());
            if let Some(first) = self.linked.get(&inode) {
                return fs::hard_link(first, to);
            }
            self.linked.insert(inode, to.clone());
        }
        file(from, &metadata, &to, self.content)
    }
}

/// Makes `to` a copy of the file `from`, of whatever kind, with its content copied by the kernel.
pub(in crate::store) fn copy_file(from: &Path, metadata: &Metadata, to: &Path) -> io::Result<()> {
    file(from, metadata, to, copy_content)
}

/// Copies the data of a file, and keeps its holes: a file of a gigabyte may take no block.
fn copy_content(from: &File, to: &File) -> io::Result<()> {
    let size = from.metadata()?.len();
    to.set_len(size)?;
    let mut at = 0;
    while at < size {
        let data = match seek(from, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data,
            // The rest is a hole.
            Err(Errno::NXIO) => break,
            // The filesystem does not report holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(error.into()),
        };
        at = match seek(from, rustix::fs::SeekFrom::Hole(data)) {
            Ok(hole) => hole,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => size,
            Err(error) => return Err(error.into()),
        };
        for mut file in [from, to] {
            file.seek(SeekFrom::Start(data))?;
        }
        if io::copy(&mut from.take(at - data), &mut &*to)? < at - data {
            return Err(io::Error::other("it was truncated while it was copied"));
        }
    }
    Ok(())
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

/// Makes the file `to` share the blocks of `from`.
pub(in crate::store) fn reflink(from: &File, to: &File) -> io::Result<()> {
    Ok(ioctl_ficlone(to, from)?)
}

fn file(from: &Path, metadata: &Metadata, to: &Path, content: CopyContent) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
    } else if kind.is_file() {
        let to = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)?;
        content(&open_file(from)?, &to)?;
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

/// Opens a regular file for reading. It may have been replaced by a symlink, or by a pipe without a writer.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it was replaced while it was copied"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::exchange_until;
    use super::*;

    /// A process with a descriptor of the tree replaces its directories and files by links while it is copied.
    #[test]
    fn a_tree_that_changes_meanwhile_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["from/dir", "outside"] {
            fs::create_dir_all(path(name)).unwrap();
            fs::write(path(name).join("file"), name).unwrap();
        }
        fs::write(path("from/file"), "from").unwrap();
        symlink(path("outside"), path("from/link-to-dir")).unwrap();
        symlink(path("outside/file"), path("from/link-to-file")).unwrap();
        let stop = AtomicBool::new(false);
        let mut strays = Vec::new();
        std::thread::scope(|scope| {
            for (a, b) in [
                ("from/dir", "from/link-to-dir"),
                ("from/file", "from/link-to-file"),
            ] {
                let (a, b, stop) = (path(a), path(b), &stop);
                scope.spawn(move || exchange_until(stop, &a, &b));
            }
            for _ in 0..1000 {
                let to = path("to");
                // It may fail.
                drop(copy_tree(&path("from"), &to));
                for name in ["dir/file", "link-to-dir/file", "file", "link-to-file"] {
                    let copied = to.join(name);
                    let is_link = copied.is_symlink() || copied.parent().unwrap().is_symlink();
                    if !is_link && fs::read(&copied).is_ok_and(|text| text == b"outside") {
                        strays.push(name);
                    }
                }
                drop(fs::remove_dir_all(&to));
            }
            stop.store(true, Ordering::SeqCst);
        });
        assert_eq!(strays, [""; 0]);
    }
}
