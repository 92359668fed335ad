//! The clones that are kept, within limits.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::{Duration, SystemTime};

use obuilder::store::remove_tree;
use tokio::sync::Mutex;
use visible::Size;

use super::clone_lock::CloneLock;
use crate::leftovers::remove_leftover;

/// A file in the `.git` of a clone. Its modification time is when the clone was last used. Older clones have none.
const LAST_USE: &str = "ocluster-last-use";

/// The prefix of clones that are being removed.
const REMOVING: &str = ".removing-";

/// How long clones are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloneLimits {
    /// How long a clone is kept after its last use.
    pub age: Duration,
    /// How many bytes all clones may take. The least recently used ones are removed first.
    pub size: u64,
}

impl Default for CloneLimits {
    /// Returns limits with room for the repositories of a large farm: 30 days and 50 GB.
    fn default() -> Self {
        Self {
            age: Duration::from_secs(30 * 24 * 60 * 60),
            size: 50_000_000_000,
        }
    }
}

/// The clones of a worker.
pub(super) struct Clones {
    dir: PathBuf,
    limits: CloneLimits,
    /// The locks of the clones in use.
    locks: RefCell<BTreeMap<PathBuf, Weak<CloneLock>>>,
    /// The sizes of the clones in bytes, as far as they are measured.
    sizes: RefCell<BTreeMap<PathBuf, u64>>,
    /// Held while clones are removed.
    pruning: Mutex<()>,
}

/// A clone that is kept.
struct Kept {
    path: PathBuf,
    last_use: SystemTime,
    size: u64,
}

impl Clones {
    /// Makes the directory if it is missing, and removes unfinished clones of a killed worker.
    pub(super) fn open(dir: PathBuf, limits: CloneLimits) -> io::Result<Rc<Self>> {
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_left =
                name.starts_with(REMOVING) || (is_clone_name(&name) && !is_complete(&path));
            if entry.file_type()?.is_dir() && is_left {
                tracing::info!("Removing {path:?}: an unfinished clone of an earlier run");
                remove_leftover(&path);
            }
        }
        Ok(Rc::new(Self {
            dir,
            limits,
            locks: RefCell::default(),
            sizes: RefCell::default(),
            pruning: Mutex::new(()),
        }))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the locks of a clone, which counts as in use until they are dropped.
    pub(super) fn lock(&self, clone: &Path) -> Rc<CloneLock> {
        let mut locks = self.locks.borrow_mut();
        locks.retain(|_, lock| lock.strong_count() > 0);
        let known = locks.get(clone).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let lock = Rc::new(CloneLock::default());
            locks.insert(clone.to_owned(), Rc::downgrade(&lock));
            lock
        })
    }

    /// Returns how many clones are in use.
    #[cfg(test)]
    pub(super) fn locks(&self) -> usize {
        self.locks.borrow().len()
    }

    /// Records the use of a clone, whose locks the caller holds. If `changed`, its size is measured again.
    pub(super) fn used(&self, clone: &Path, changed: bool) {
        if changed {
            self.sizes.borrow_mut().remove(clone);
        }
        let file = clone.join(".git").join(LAST_USE);
        if let Err(error) = fs::write(&file, "") {
            tracing::debug!("Cannot write {file:?}: {error}");
        }
    }

    /// Removes clones that are too old, and then the least recently used ones until the rest is small enough. Clones in
    /// use are kept.
    pub(super) async fn prune(self: Rc<Self>) {
        let Ok(_turn) = self.pruning.try_lock() else {
            return;
        };
        let (dir, sizes) = (self.dir.clone(), self.sizes.borrow().clone());
        let listed = tokio::task::spawn_blocking(move || list(&dir, sizes)).await;
        let mut kept = match listed.map_err(io::Error::other).flatten() {
            Ok(kept) => kept,
            Err(error) => {
                return tracing::warn!("Cannot list the clones in {:?}: {error}", self.dir);
            }
        };
        let sizes = kept.iter().map(|clone| (clone.path.clone(), clone.size));
        self.sizes.borrow_mut().extend(sizes);
        kept.sort_by_key(|clone| clone.last_use);
        let mut total: u64 = kept.iter().map(|clone| clone.size).sum();
        for clone in kept {
            let age = clone.last_use.elapsed().unwrap_or_default();
            let reason = if age > self.limits.age {
                "--git-cache-age"
            } else if total > self.limits.size {
                "--git-cache-size"
            } else {
                continue;
            };
            if self.remove(&clone, reason).await {
                total -= clone.size;
            }
        }
    }

    /// Removes a clone unless it is in use. Returns whether it was removed.
    async fn remove(&self, clone: &Kept, reason: &str) -> bool {
        let Kept { path, size, .. } = clone;
        let lock = self.lock(path);
        if Rc::strong_count(&lock) > 1 {
            return false;
        }
        // Other jobs now wait until the clone is removed.
        let _fetching = lock.fetching.lock().await;
        let _content = lock.content.write().await;
        tracing::info!("Removing the clone {path:?} ({}): {reason}", Size(*size));
        let removed = remove(path.clone()).await;
        self.sizes.borrow_mut().remove(path);
        removed
            .inspect_err(|error| tracing::warn!("Cannot remove {path:?}: {error}"))
            .is_ok()
    }
}

/// Returns whether a clone was set up completely.
pub(super) fn is_complete(clone: &Path) -> bool {
    let config = fs::read_to_string(clone.join(".git/config")).unwrap_or_default();
    // These are configured last.
    clone.join(".git/HEAD").exists()
        && ["refs/pull/*", "refs/merge-requests/*"]
            .iter()
            .any(|refs| config.contains(refs))
}

/// Removes lock files of a killed git, which would make all later fetches fail. No other process changes the clone, as
/// the caller holds its locks.
pub(super) fn remove_stale_locks(clone: &Path) -> io::Result<()> {
    let git = clone.join(".git");
    let mut pending = vec![git.join("refs"), git.join("objects/info"), git];
    while let Some(dir) = pending.pop() {
        let is_top = dir.ends_with(".git");
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.extend((!is_top).then(|| entry.path()));
            } else if entry.path().extension().is_some_and(|name| name == "lock") {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Returns whether a directory has the name of a clone, which contains the digest of a URL. Others must not be removed.
fn is_clone_name(name: &str) -> bool {
    let is_digest = |part: &str| part.len() == 40 && part.bytes().all(|b| b.is_ascii_hexdigit());
    name.split('-').any(is_digest)
}

/// Removes a clone whose locks the caller holds. It is renamed first, so that no part of it is mistaken for a clone if
/// this is interrupted.
pub(super) async fn remove(clone: PathBuf) -> io::Result<()> {
    let removing = tokio::task::spawn_blocking(move || {
        let name = clone.file_name().unwrap_or_default().to_string_lossy();
        let removed = clone.with_file_name(format!("{REMOVING}{name}"));
        match fs::rename(&clone, &removed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        remove_tree(&removed)
    });
    removing.await.map_err(io::Error::other)?
}

/// Lists the clones in a directory. `sizes` are the known sizes.
fn list(dir: &Path, sizes: BTreeMap<PathBuf, u64>) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let git = path.join(".git");
        let used = fs::metadata(git.join(LAST_USE)).or_else(|_| fs::metadata(&git));
        let name = entry.file_name();
        let Some(used) = used.ok().filter(|_| is_clone_name(&name.to_string_lossy())) else {
            continue;
        };
        let size = match sizes.get(&path) {
            Some(size) => *size,
            None => disk_usage(&path),
        };
        kept.push(Kept {
            path,
            last_use: used.modified()?,
            size,
        });
    }
    Ok(kept)
}

/// Returns the size of a directory on the disk, in bytes. Files that cannot be read do not count.
fn disk_usage(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => disk_usage(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
