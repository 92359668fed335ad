//! Making files and directories in an image's root filesystem, whose links may point anywhere.
//!
//! A link is followed as the image's own programs would follow it: from the image's root, and into what is mounted there. Each component is looked at by
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

/// A root filesystem, and what is going to be mounted in it.
pub(super) struct Tree {
    root: OwnedFd,
    /// What directories will be mounted where, and not be hidden by others. None of these paths has a link in it.
    mounts: Vec<(BString, OwnedFd)>,
}

/// A step on the way that a name leads.
struct Step {
    name: BString,
    /// `None` in a filesystem that is not there yet.
    directory: Option<OwnedFd>,
}

impl Tree {
    /// Opens the root filesystem, which nobody else changes meanwhile.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = rustix::fs::openat(CWD, root, directory_flags(), Mode::empty())?;
        Ok(Self {
            root,
            mounts: Vec::new(),
        })
    }

    /// Notes that the directory `source` of the machine will be mounted on `target`, which [`ensure`](Self::ensure) has
    /// returned. From here on, names lead into it, and no longer to what was mounted on or below `target` before.
    pub(super) fn mount(&mut self, target: &BString, source: &Path) -> io::Result<()> {
        let source = rustix::fs::openat(CWD, source, directory_flags(), Mode::empty())?;
        self.mounts.retain(|(hidden, _)| {
            let below = hidden.strip_prefix(target.as_slice());
            below.is_none_or(|rest| !rest.is_empty() && !rest.starts_with(b"/"))
        });
        self.mounts.push((target.clone(), source));
        Ok(())
    }

    /// Makes sure that `path` leads to something of `kind`, and returns to what: an absolute path in which there is no link.
    ///
    /// What is missing is made, owned by root: directories of mode 0755 and files of mode 0644. So is what a dangling link
    /// points to, since the link is the image's own and stays. Nothing is made in the filesystems that the runtime mounts,
    /// and what is returned is not followed any further from there, where the links are not known.
    ///
    /// # Errors
    /// When something else is there, or in the way.
    pub(super) fn ensure(&self, path: &BStr, kind: Kind) -> io::Result<BString> {
        let mut way: Vec<Step> = vec![];
        let mut rest: VecDeque<BString> = components(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                if leads_back(&way) {
                    way.pop();
                    continue;
                }
                let mut path = join(&way, Some(&name));
                for name in &rest {
                    path.push(b'/');
                    path.extend_from_slice(name);
                }
                return Ok(path);
            }
            if let Some(directory) = self.mounted(&way, &name)? {
                way.push(Step { name, directory });
                continue;
            }
            let here = match way.last() {
                None => &self.root,
                Some(Step {
                    directory: Some(directory),
                    ..
                }) => directory,
                Some(Step {
                    directory: None, ..
                }) => {
                    way.push(Step {
                        name,
                        directory: None,
                    });
                    continue;
                }
            };
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
                Some(FileType::Directory) => {
                    let directory = Some(open_directory(here, &name)?);
                    way.push(Step { name, directory });
                }
                Some(_) if rest.is_empty() && kind == Kind::File => {
                    return Ok(join(&way, Some(&name)));
                }
                Some(_) => return Err(Errno::NOTDIR.into()),
                None if rest.is_empty() && kind == Kind::File => {
                    make_file(here, &name)?;
                    return Ok(join(&way, Some(&name)));
                }
                None => {
                    let directory = Some(make_directory(here, &name)?);
                    way.push(Step { name, directory });
                }
            }
        }
        match way.last() {
            // A directory, where a file was asked for.
            None
            | Some(Step {
                directory: Some(_), ..
            }) if kind == Kind::File => Err(Errno::ISDIR.into()),
            _ => Ok(join(&way, None)),
        }
    }

    /// Returns what is mounted on `name` at the end of a way: nothing, a directory, or a filesystem that is not there yet.
    #[expect(
        clippy::option_option,
        reason = "there may be something that cannot be opened"
    )]
    fn mounted(&self, way: &[Step], name: &BString) -> io::Result<Option<Option<OwnedFd>>> {
        let path = join(way, Some(name));
        let mounted = self.mounts.iter().find(|(target, _)| *target == path);
        if let Some((_, directory)) = mounted {
            return Ok(Some(Some(directory.try_clone()?)));
        }
        let is_covered = way.is_empty() && COVERED.iter().any(|covered| name == *covered);
        Ok(is_covered.then_some(None))
    }

    /// Makes sure that there is a directory `name` at the top of the root filesystem, which is not a link to one.
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

/// Returns whether `..` leads one step back: not below a filesystem that may have links, and is not there yet.
fn leads_back(way: &[Step]) -> bool {
    match way {
        [] | [_] => true,
        [first, second, ..] if first.name == "dev" && second.name == "shm" => true,
        _ => way.iter().all(|step| step.directory.is_some()),
    }
}

/// Returns the path of a way, with one more name at its end.
fn join(way: &[Step], last: Option<&BString>) -> BString {
    let mut path = BString::default();
    for name in way.iter().map(|step| &step.name).chain(last) {
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
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn ensure_in(root: &Path, path: &str, kind: Kind) -> io::Result<BString> {
        Tree::open(root)?.ensure(path.as_bytes().as_bstr(), kind)
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
        assert_eq!(place, "/proc/self/fd/7");
        // What follows cannot be known, since there are links.
        let place = ensure_in(root.path(), "/out/../../tmp", Kind::Directory).unwrap();
        assert_eq!(place, "/proc/self/fd/7/../../tmp");
        for (path, place) in [("/proc/../x", "/x"), ("/dev/shm/../../y", "/y")] {
            assert_eq!(
                ensure_in(root.path(), path, Kind::Directory).unwrap(),
                place
            );
        }
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

    #[test]
    fn names_lead_into_what_is_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let (root, a, b) = (
            dir.path().join("root"),
            dir.path().join("a"),
            dir.path().join("b"),
        );
        for made in [&root, &a, &b] {
            fs::create_dir(made).unwrap();
        }
        symlink("/proc", a.join("p")).unwrap();
        symlink("../..", a.join("up")).unwrap();
        symlink("/a/p", b.join("q")).unwrap();
        let mut tree = Tree::open(&root).unwrap();
        let ensure = |tree: &Tree, path: &str, kind| tree.ensure(path.into(), kind);
        let first = ensure(&tree, "/a", Kind::Directory).unwrap();
        tree.mount(&first, &a).unwrap();
        assert_eq!(ensure(&tree, "/a/p", Kind::Directory).unwrap(), "/proc");
        assert_eq!(ensure(&tree, "/a/up/x", Kind::Directory).unwrap(), "/x");
        let second = ensure(&tree, "/a/new/b", Kind::Directory).unwrap();
        tree.mount(&second, &b).unwrap();
        assert_eq!(ensure(&tree, "/a/new/b/q", Kind::File).unwrap(), "/proc");
        assert_eq!(
            ensure(&tree, "/a/new/b/file", Kind::File).unwrap(),
            "/a/new/b/file"
        );
        assert!(a.join("new/b").is_dir() && b.join("file").is_file() && root.join("x").is_dir());
        assert!(!root.join("a/new").exists());
        // And into what is mounted where nothing is yet.
        let shared = ensure(&tree, "/dev/shm/s", Kind::Directory).unwrap();
        assert_eq!(shared, "/dev/shm/s");
        tree.mount(&shared, &a).unwrap();
        assert_eq!(
            ensure(&tree, "/dev/shm/s/p/x", Kind::Directory).unwrap(),
            "/proc/x"
        );
    }

    #[test]
    fn names_do_not_lead_into_what_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let (root, plain, links) = (
            dir.path().join("root"),
            dir.path().join("plain"),
            dir.path().join("links"),
        );
        for made in [&root, &plain, &links] {
            fs::create_dir(made).unwrap();
        }
        symlink("/proc", links.join("b")).unwrap();
        let mut tree = Tree::open(&root).unwrap();
        let ensure = |tree: &Tree, path: &str| tree.ensure(path.into(), Kind::Directory).unwrap();
        for target in ["/a/b", "/a/bc", "/ab"] {
            let target = ensure(&tree, target);
            tree.mount(&target, &plain).unwrap();
        }
        let over = ensure(&tree, "/a");
        tree.mount(&over, &links).unwrap();
        assert_eq!(ensure(&tree, "/a/b"), "/proc");
        ensure(&tree, "/a/bc/x");
        ensure(&tree, "/ab/y");
        assert!(links.join("bc/x").is_dir() && !plain.join("x").exists());
        // What is beside it is still there.
        assert!(plain.join("y").is_dir());
    }
}
