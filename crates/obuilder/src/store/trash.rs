//! The trash of a store: trees are moved there at once, and removed in the background.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::background::{Background, Task};
use super::tree;

/// The directory `trash` of a store.
#[derive(Debug)]
pub(super) struct Trash {
    dir: PathBuf,
    next: AtomicU64,
    background: Arc<Background>,
}

impl Trash {
    /// Opens it, and removes trees that an earlier process left in it.
    pub(super) fn open(dir: PathBuf, background: Arc<Background>) -> io::Result<Self> {
        let mut next = 0;
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            let number: u64 = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
                .unwrap_or(0);
            next = next.max(number.saturating_add(1));
            background.enqueue(Task::Remove(entry.path()));
        }
        Ok(Self {
            dir,
            next: AtomicU64::new(next),
            background,
        })
    }

    /// Moves `path`, a tree or a file, to the trash. It is no error if there is none.
    pub(super) fn put(&self, path: &Path) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let to = self.dir.join(number.to_string());
        match std::fs::rename(path, &to) {
            Ok(()) => self.background.enqueue(Task::Remove(to)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A full disk may have no room for the new name; removing needs none.
            Err(_) => tree::remove(path)?,
        }
        Ok(())
    }
}
