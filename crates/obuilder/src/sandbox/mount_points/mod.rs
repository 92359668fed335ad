//! Creates files and directories in an image's root filesystem, whose links may point anywhere.
//!
//! A link is followed as the image's own programs would follow it: from the image's root, and into mounts there. Each
//! component is resolved separately, relative to the directory of the one before it, so that the system never resolves
//! a name outside of the image.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use bstr::{BStr, BString, ByteSlice as _};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// How many links may be in one path: the limit of the kernel.
const MOST_LINKS: u32 = 40;

/// The filesystems that the runtime mounts. They would hide files below them, and their own files belong to the kernel.
pub(super) const COVERED: [&str; 3] = ["dev", "proc", "sys"];

/// The kind of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An empty file.
    File,
    /// A directory.
    Directory,
}

/// A root filesystem, with the directories that will be mounted in it.
pub(super) struct Tree {
    root: OwnedFd,
    /// The mounts that others do not hide, by target. None of these paths has a link.
    mounts: Vec<(BString, OwnedFd)>,
}

/// A resolved component of a path.
struct Component {
    name: BString,
    /// `None` in a filesystem that is not mounted yet.
    directory: Option<OwnedFd>,
}

/// The resolution of one path.
struct Walk<'a> {
    tree: &'a Tree,
    /// The resolved components, which have no link.
    trail: Vec<Component>,
    /// The components ahead.
    rest: VecDeque<BString>,
    links: u32,
}

impl Tree {
    /// Opens the root filesystem, which must not change meanwhile.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = rustix::fs::openat(CWD, root, directory_flags(), Mode::empty())?;
        Ok(Self {
            root,
            mounts: Vec::new(),
        })
    }

    /// Records that the directory `source` of the machine will be mounted on `target`, a result of
    /// [`ensure`](Self::ensure). From now on, paths lead into it, and no longer to earlier mounts on or below `target`.
    pub(super) fn mount(&mut self, target: &BString, source: &Path) -> io::Result<()> {
        let source = rustix::fs::openat(CWD, source, directory_flags(), Mode::empty())?;
        self.mounts.retain(|(hidden, _)| {
            let below = hidden.strip_prefix(target.as_slice());
            below.is_none_or(|rest| !rest.is_empty() && !rest.starts_with(b"/"))
        });
        self.mounts.push((target.clone(), source));
        Ok(())
    }

    /// Makes sure that `path` leads to an entry of `kind`, and returns its absolute path without links.
    ///
    /// Missing entries are created, owned by root: directories of mode 0755 and files of mode 0644. So is the target of
    /// a dangling link, since the link belongs to the image and stays. Nothing is created in the filesystems that the
    /// runtime mounts, and paths are not resolved there, as their links are not known.
    ///
    /// # Errors
    /// If there is an entry of another kind at the path or on the way to it.
    pub(super) fn ensure(&self, path: &BStr, kind: Kind) -> io::Result<BString> {
        let mut walk = Walk {
            tree: self,
            trail: Vec::new(),
            rest: components(path),
            links: 0,
        };
        while let Some(name) = walk.rest.pop_front() {
            if let Some(end) = walk.enter(name, kind)? {
                return Ok(end);
            }
        }
        match walk.trail.last() {
            // A directory, where a file was requested.
            None
            | Some(Component {
                directory: Some(_), ..
            }) if kind == Kind::File => Err(Errno::ISDIR.into()),
            _ => Ok(join(&walk.trail, None)),
        }
    }

    /// Returns the mount on `name` after a trail: none, a directory, or a filesystem that is not mounted yet.
    #[expect(
        clippy::option_option,
        reason = "a mount may exist that cannot be opened"
    )]
    fn mounted(&self, trail: &[Component], name: &BString) -> io::Result<Option<Option<OwnedFd>>> {
        let path = join(trail, Some(name));
        let mounted = self.mounts.iter().find(|(target, _)| *target == path);
        if let Some((_, directory)) = mounted {
            return Ok(Some(Some(directory.try_clone()?)));
        }
        let is_covered = trail.is_empty() && COVERED.iter().any(|covered| name == *covered);
        Ok(is_covered.then_some(None))
    }

    /// Makes sure that there is a directory `name` at the top of the root filesystem, and not a link to one.
    pub(super) fn ensure_plain(&self, name: &str) -> io::Result<()> {
        match kind_of(&self.root, &name.into())? {
            Some(FileType::Directory) => Ok(()),
            Some(_) => Err(Errno::NOTDIR.into()),
            None => Ok(rustix::fs::mkdirat(
                &self.root,
                name,
                Mode::from_raw_mode(0o755),
            )?),
        }
    }
}

impl Walk<'_> {
    /// Resolves the next component. Returns the whole path if this is its end.
    fn enter(&mut self, name: BString, kind: Kind) -> io::Result<Option<BString>> {
        if name == ".." {
            return Ok(self.go_up(&name));
        }
        if let Some(directory) = self.tree.mounted(&self.trail, &name)? {
            self.trail.push(Component { name, directory });
            return Ok(None);
        }
        let here = match self.trail.last() {
            None => &self.tree.root,
            Some(Component {
                directory: Some(directory),
                ..
            }) => directory,
            Some(Component {
                directory: None, ..
            }) => {
                let directory = None;
                self.trail.push(Component { name, directory });
                return Ok(None);
            }
        };
        let directory = match kind_of(here, &name)? {
            Some(FileType::Symlink) => {
                let target = rustix::fs::readlinkat(here, name.as_slice(), Vec::new())?;
                self.follow(target.as_bytes().as_bstr())?;
                return Ok(None);
            }
            Some(FileType::Directory) => open_directory(here, &name)?,
            found if self.rest.is_empty() && kind == Kind::File => {
                if found.is_none() {
                    make_file(here, &name)?;
                }
                return Ok(Some(join(&self.trail, Some(&name))));
            }
            Some(_) => return Err(Errno::NOTDIR.into()),
            None => make_directory(here, &name)?,
        };
        let directory = Some(directory);
        self.trail.push(Component { name, directory });
        Ok(None)
    }

    /// Resolves `..`. If its target is unknown, returns the whole path with the rest unresolved.
    fn go_up(&mut self, name: &BString) -> Option<BString> {
        if leads_back(&self.trail) {
            self.trail.pop();
            return None;
        }
        let mut path = join(&self.trail, Some(name));
        for name in &self.rest {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        Some(path)
    }

    /// Continues with the target of a link.
    fn follow(&mut self, target: &BStr) -> io::Result<()> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        if target.starts_with(b"/") {
            self.trail.clear();
        }
        for component in components(target).into_iter().rev() {
            self.rest.push_front(component);
        }
        Ok(())
    }
}

/// Returns whether `..` leads to the component before: not below a filesystem that is not mounted yet, and may have
/// links.
fn leads_back(trail: &[Component]) -> bool {
    match trail {
        [] | [_] => true,
        [first, second, ..] if first.name == "dev" && second.name == "shm" => true,
        _ => trail.iter().all(|component| component.directory.is_some()),
    }
}

/// Returns the path of a trail, with one more name at its end.
fn join(trail: &[Component], last: Option<&BString>) -> BString {
    let mut path = BString::default();
    for name in trail.iter().map(|component| &component.name).chain(last) {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
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

fn make_directory(parent: &OwnedFd, name: &BString) -> io::Result<OwnedFd> {
    let mode = Mode::from_raw_mode(0o755);
    rustix::fs::mkdirat(parent, name.as_slice(), mode)?;
    let made = open_directory(parent, name)?;
    rustix::fs::chmodat(parent, name.as_slice(), mode, AtFlags::empty())?;
    Ok(made)
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
mod tests;
