//! A directory to copy from, one to copy to, and what is there in the end.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use obuilder::copy::{self, CopyError, Digests, Manifest, Request};
use obuilder_spec::User;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A source, an image, and the digests that are kept.
pub(crate) struct Place {
    dir: TempDir,
}

/// Somebody who is not root.
pub(crate) const SOMEBODY: User = User::Unix {
    uid: 1000,
    gid: 100,
};

/// The time that files of a [`Tree`] were last changed, in seconds since 1970.
const MTIME: i64 = 1_000_000_000;

/// The part of that time that is not copied.
const NANOSECONDS: i64 = 123_456_789;

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["source", "image"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn source(&self) -> Tree {
        Tree(self.dir.path().join("source"))
    }

    pub(crate) fn image(&self) -> Tree {
        Tree(self.dir.path().join("image"))
    }

    pub(crate) fn outside(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Returns the digests that are kept, at a time when all files have been as they are for an hour.
    pub(crate) fn digests(&self) -> Digests {
        let later = || SystemTime::now() + Duration::from_secs(3600);
        Digests::with_clock(&self.dir.path().join("state"), later)
    }

    pub(crate) fn request(&self, src: &[&str], dst: &str) -> Request {
        Request {
            root: self.source().0,
            src: src.iter().map(|&src| src.into()).collect(),
            dst: dst.into(),
            exclude: Vec::new(),
        }
    }

    pub(crate) fn read(&self, src: &[&str], dst: &str) -> Result<Manifest, CopyError> {
        copy::read(
            &self.request(src, dst),
            &self.digests(),
            &CancellationToken::new(),
        )
    }

    pub(crate) fn write(&self, manifest: &Manifest, owner: &User) -> Result<(), CopyError> {
        copy::write(manifest, &self.image().0, owner, &CancellationToken::new())
    }

    /// Copies, and returns what is wrong if it cannot be done.
    pub(crate) fn copy(&self, src: &[&str], dst: &str) -> Result<(), String> {
        self.read(src, dst)
            .and_then(|manifest| self.write(&manifest, &SOMEBODY))
            .map_err(|e| e.to_string())
    }
}

/// A directory that files are made in, all of them with one time of change.
pub(crate) struct Tree(pub(crate) PathBuf);

impl Tree {
    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        self.file_with(path, content, 0o600)
    }

    pub(crate) fn file_with(self, path: &str, content: &str, mode: u32) -> Self {
        let at = self.make_room(path);
        fs::write(&at, content).unwrap();
        fs::set_permissions(&at, Permissions::from_mode(mode)).unwrap();
        self.date(path)
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Self {
        let at = self.make_room(path);
        fs::create_dir(&at).unwrap();
        fs::set_permissions(&at, Permissions::from_mode(mode)).unwrap();
        self.date(path)
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        symlink(target, self.make_room(path)).unwrap();
        self.date(path)
    }

    pub(crate) fn fifo(self, path: &str) -> Self {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let at = self.make_room(path);
        rustix::fs::mknodat(CWD, &at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        self
    }

    fn make_room(&self, path: &str) -> PathBuf {
        let at = self.0.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        at
    }

    /// Gives something, and the directories on the way to it, the time of a [`Tree`].
    pub(crate) fn date(self, path: &str) -> Self {
        for at in Path::new(path).ancestors() {
            date(&self.0.join(at));
        }
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// Returns what is there, a line for each: mode, owner, time of change, path, and what is in it.
    pub(crate) fn show(&self) -> String {
        let mut lines = Vec::new();
        show(&self.0, &self.0, &mut lines);
        lines.join("\n")
    }
}

fn show(root: &Path, path: &Path, lines: &mut Vec<String>) {
    let metadata = path.symlink_metadata().unwrap();
    let kind = metadata.file_type();
    let tail = if kind.is_symlink() {
        format!(" -> {}", fs::read_link(path).unwrap().display())
    } else if kind.is_file() {
        format!(" {:?}", String::from_utf8_lossy(&fs::read(path).unwrap()))
    } else {
        "/".to_owned()
    };
    if path != root {
        lines.push(format!(
            "{:04o} {}:{} {} {}{tail}",
            metadata.mode() & 0o7777,
            metadata.uid(),
            metadata.gid(),
            match (metadata.mtime(), metadata.mtime_nsec()) {
                (MTIME, 0) => "then".to_owned(),
                (MTIME, NANOSECONDS) => "then+".to_owned(),
                (seconds, 0) => seconds.to_string(),
                (seconds, nanoseconds) => format!("{seconds}.{nanoseconds:09}"),
            },
            path.strip_prefix(root).unwrap().display(),
        ));
    }
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        names.sort();
        for path in names {
            show(root, &path, lines);
        }
    }
}

/// Gives whatever is at a path the time of a [`Tree`].
fn date(path: &Path) {
    let time = Timespec {
        tv_sec: MTIME,
        tv_nsec: NANOSECONDS,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
