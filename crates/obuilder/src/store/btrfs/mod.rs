//! Results as subvolumes: a copy is a snapshot, which takes the same time whatever its size.
//!
//! A draft is a writable snapshot of its base's result, and *becomes* the result by a rename. Upstream makes a second,
//! read-only snapshot. That, like making a subvolume read-only, would write everything to the disk once more.

mod ioctl;
mod usage;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::statfs;

use super::backend::{Backend, BackendSetup};
use super::caches::Owner;
use super::error::{Cannot as _, ignore};
use super::filesystem::{self, BTRFS};
use super::layout::make_directory;
use super::trash::Trash;
use super::{OpenError, StoreError, Usage};

/// The kernel before which snapshots in parallel could lock up.
const FIRST_GOOD_KERNEL: (u32, u32) = (5, 8);

/// Results as subvolumes.
#[derive(Debug)]
pub(super) struct Btrfs {
    root: PathBuf,
    trash: Arc<Trash>,
}

impl Btrfs {
    /// Returns the backend for the store with these directories.
    pub(super) fn new(setup: BackendSetup) -> Self {
        Self {
            root: setup.root,
            trash: setup.trash,
        }
    }
}

impl Backend for Btrfs {
    fn begin(&self, place: &Path, base: Option<&Path>) -> Result<PathBuf, StoreError> {
        let rootfs = place.join("rootfs");
        let Some(base) = base else {
            create(place)?;
            make_directory(&rootfs)?;
            return Ok(rootfs);
        };
        snapshot(base, place)?;
        for name in ["log", "parent", "variant"] {
            let file = place.join(name);
            ignore(io::ErrorKind::NotFound, fs::remove_file(&file)).cannot("remove", &file)?;
        }
        Ok(rootfs)
    }

    fn finalize(
        &self,
        place: &Path,
        copy: &Path,
        _base: Option<&Path>,
        is_exposed: bool,
    ) -> Result<bool, StoreError> {
        if is_exposed {
            // Making this one read-only is not enough: files that are open for writing stay so.
            snapshot(place, copy)?;
        }
        Ok(is_exposed)
    }

    fn remove(&self, place: &Path) -> Result<(), StoreError> {
        match on_entry(place, ioctl::destroy) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            // Not a subvolume, or one with nested subvolumes that a build has made. Removing it takes a while, and a
            // partly removed result must not exist.
            Err(_) => self.trash.put(place).cannot("remove", place),
            Ok(()) => Ok(()),
        }
    }

    fn take_cache(&self, cache: &Path, copy: &Path, owner: Owner) -> Result<PathBuf, StoreError> {
        if !cache.exists() {
            create(cache)?;
        }
        snapshot(cache, copy)?;
        owner.give(copy)?;
        Ok(copy.to_owned())
    }

    fn prepare_usage(&self) -> Result<(), StoreError> {
        let root = File::open(&self.root).cannot("open", &self.root)?;
        ioctl::sync(&root).cannot("sync", &self.root)
    }

    fn usage(&self, result: &Path, _base: Option<&Path>) -> io::Result<Usage> {
        usage::usage(result)
    }

    fn being_deleted(&self) -> Result<usize, StoreError> {
        let root = File::open(&self.root).cannot("open", &self.root)?;
        let left = ioctl::being_deleted(&root).cannot("count deleted subvolumes in", &self.root)?;
        // Space is freed by a sync, so this comes last.
        ioctl::sync(&root).cannot("sync", &self.root)?;
        Ok(left)
    }
}

/// Checks whether `root` is on btrfs, with a kernel that supports it reliably.
pub(super) fn check(root: &Path, _is_new: bool) -> Result<(), OpenError> {
    let kind = statfs(root).cannot("inspect", root)?.f_type;
    if kind != BTRFS {
        return Err(OpenError::Filesystem {
            root: root.to_owned(),
            filesystem: filesystem::name(kind),
            lacks: "has no subvolumes",
            advice: "put the store on btrfs, or use overlayfs:/path",
        });
    }
    let path = Path::new("/proc/sys/kernel/osrelease");
    let release = fs::read_to_string(path).cannot("read", path)?;
    match kernel_version(release.trim()) {
        Some(version) if version < FIRST_GOOD_KERNEL => Err(OpenError::Kernel(version)),
        _ => Ok(()),
    }
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let minor = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn create(at: &Path) -> Result<(), StoreError> {
    on_entry(at, ioctl::create).cannot("create the subvolume", at)?;
    fs::set_permissions(at, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .cannot("create the subvolume", at)
}

fn snapshot(from: &Path, to: &Path) -> Result<(), StoreError> {
    let source = File::open(from).cannot("open", from)?;
    on_entry(to, |dir, name| ioctl::snapshot(&source, dir, name)).cannot("create the snapshot", to)
}

/// Calls a function with an open directory and the name of an entry.
fn on_entry(
    path: &Path,
    act: impl FnOnce(&File, &std::ffi::OsStr) -> io::Result<()>,
) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    act(&File::open(dir)?, name)
}

#[cfg(test)]
mod tests {
    use super::kernel_version;

    #[test]
    fn kernel_versions_have_many_forms() {
        assert_eq!(kernel_version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(kernel_version("5.8"), Some((5, 8)));
        assert_eq!(kernel_version("5.10-rc1"), Some((5, 10)));
        assert_eq!(kernel_version("unknown"), None);
    }
}
