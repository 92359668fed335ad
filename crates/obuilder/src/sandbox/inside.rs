//! Making files and directories in an image's root filesystem, whose links may point anywhere.
//!
//! A link is followed as the image's own programs would follow it: from the image's root. Each component is looked at by
//! itself, relative to the directory that the one before it has led to, so that no name is ever resolved by the system
//! outside of the image.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// As many links as the kernel follows in one name.
const MOST_LINKS: u32 = 40;

/// The filesystems that the runtime mounts. What is made below them would be hidden, and what they show is the kernel's.
pub(super) const COVERED: [&str; 3] = ["dev", "proc", "sys"];

/// What to make.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An empty file.
    File,
    /// A directory.
    Directory,
}

/// Where a name has led.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To something that is there now, a directory or not, as was asked.
    Inside,
    /// To one of the filesystems that are not there yet: this one.
    Covered(BString),
}

/// Makes sure that `path` leads to something of `kind` in the root filesystem, which nobody else changes meanwhile.
///
/// What is missing is made, owned by root: directories of mode 0755 and files of mode 0644. So is what a dangling link
/// points to, since the link is the image's own and stays.
///
/// # Errors
/// When something else is there, or in the way.
pub(super) fn ensure(root: &Path, path: &BStr, kind: Kind) -> io::Result<Place> {
    let root = rustix::fs::openat(CWD, root, directory_flags(), Mode::empty())?;
    let mut way = vec![];
    let mut rest: VecDeque<BString> = components(path);
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            way.pop();
            continue;
        }
        if way.is_empty() && COVERED.iter().any(|covered| name == *covered) {
            return Ok(Place::Covered(name));
        }
        let here = way.last().unwrap_or(&root);
        match kind_of(here, &name)? {
            Some(FileType::Symlink) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP.into());
                }
                let target = rustix::fs::readlinkat(here, name.as_slice(), Vec::new())?;
                let target = target.as_bytes().as_bstr();
                if target.starts_with(b"/") {
                    way.clear();
                }
                for component in components(target).into_iter().rev() {
                    rest.push_front(component);
                }
            }
            Some(FileType::Directory) => way.push(open_directory(here, &name)?),
            Some(_) if rest.is_empty() && kind == Kind::File => return Ok(Place::Inside),
            Some(_) => return Err(Errno::NOTDIR.into()),
            None if rest.is_empty() && kind == Kind::File => {
                make_file(here, &name)?;
                return Ok(Place::Inside);
            }
            None => {
                rustix::fs::mkdirat(here, name.as_slice(), Mode::from_raw_mode(0o755))?;
                let made = open_directory(here, &name)?;
                rustix::fs::chmodat(
                    here,
                    name.as_slice(),
                    Mode::from_raw_mode(0o755),
                    AtFlags::empty(),
                )?;
                way.push(made);
            }
        }
    }
    match kind {
        Kind::Directory => Ok(Place::Inside),
        Kind::File => Err(Errno::ISDIR.into()),
    }
}

/// Makes sure that there is a directory `name` at the top of the root filesystem, which is not a link to one.
pub(super) fn ensure_plain(root: &Path, name: &str) -> io::Result<()> {
    let root = rustix::fs::openat(CWD, root, directory_flags(), Mode::empty())?;
    match kind_of(&root, &name.into())? {
        Some(FileType::Directory) => Ok(()),
        Some(_) => Err(Errno::NOTDIR.into()),
        None => Ok(rustix::fs::mkdirat(
            &root,
            name,
            Mode::from_raw_mode(0o755),
        )?),
    }
}

fn components(path: &BStr) -> VecDeque<BString> {
    path.split_str("/")
        .filter(|name| !name.is_empty() && *name != b".")
        .map(BString::from)
        .collect()
}

fn kind_of(directory: &OwnedFd, name: &BString) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(directory, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn directory_flags() -> OFlags {
    OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn open_directory(parent: &OwnedFd, name: &BString) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        parent,
        name.as_slice(),
        directory_flags(),
        Mode::empty(),
    )?)
}

fn make_file(parent: &OwnedFd, name: &BString) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name.as_slice(), flags, Mode::from_raw_mode(0o644))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    Ok(())
}

/// Returns the bytes of a path.
pub(super) fn bytes(path: &Path) -> &BStr {
    path.as_os_str().as_bytes().as_bstr()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn ensure_in(root: &Path, path: &str, kind: Kind) -> io::Result<Place> {
        ensure(root, path.as_bytes().as_bstr(), kind)
    }

    #[test]
    fn what_is_missing_is_made() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        ensure_in(root, "/a/b/file", Kind::File).unwrap();
        ensure_in(root, "/a/b/c/./dir/", Kind::Directory).unwrap();
        assert!(root.join("a/b/file").is_file() && root.join("a/b/c/dir").is_dir());
        let mode = |path| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a/b"), mode("a/b/file")), (0o755, 0o644));
        // And what is there stays as it is.
        fs::write(root.join("a/b/file"), "text").unwrap();
        ensure_in(root, "/a/b/file", Kind::File).unwrap();
        assert_eq!(fs::read(root.join("a/b/file")).unwrap(), b"text");
    }

    #[test]
    fn links_lead_nowhere_but_into_the_image() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        symlink(outside.path(), root.join("absolute")).unwrap();
        symlink("../../../../../..", root.join("relative")).unwrap();
        symlink("../run/resolv.conf", root.join("dangling")).unwrap();
        ensure_in(&root, "/absolute/new", Kind::File).unwrap();
        ensure_in(&root, "/relative/top", Kind::File).unwrap();
        ensure_in(&root, "/dangling", Kind::File).unwrap();
        ensure_in(&root, "../../up", Kind::Directory).unwrap();
        assert!(!outside.path().join("new").exists() && !outside.path().join("up").exists());
        assert!(
            root.join(outside.path().strip_prefix("/").unwrap())
                .join("new")
                .is_file()
        );
        assert!(root.join("top").is_file() && root.join("up").is_dir());
        // The link is the image's own, and stays.
        assert!(root.join("run/resolv.conf").is_file() && root.join("dangling").is_symlink());
    }

    #[test]
    fn what_the_runtime_mounts_is_left_to_it() {
        let root = tempfile::tempdir().unwrap();
        symlink("/proc/self/fd/7", root.path().join("out")).unwrap();
        let place = ensure_in(root.path(), "/out", Kind::Directory).unwrap();
        assert_eq!(place, Place::Covered("proc".into()));
        assert!(!root.path().join("proc").exists());
    }

    #[test]
    fn what_is_in_the_way_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::write(root.join("file"), "").unwrap();
        fs::create_dir(root.join("dir")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let error = |path, kind| {
            let error = ensure_in(root, path, kind).unwrap_err();
            Errno::from_io_error(&error).unwrap()
        };
        assert_eq!(error("/file/x", Kind::Directory), Errno::NOTDIR);
        assert_eq!(error("/file", Kind::Directory), Errno::NOTDIR);
        assert_eq!(error("/dir", Kind::File), Errno::ISDIR);
        assert_eq!(error("/loop", Kind::File), Errno::LOOP);
    }
}
