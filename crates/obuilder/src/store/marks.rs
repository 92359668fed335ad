//! Marks of results that a power cut may damage.
//!
//! A step does not wait for the disk: that would take longer than the step. So after a power cut a result may exist
//! with empty files. Each result is therefore marked *before* it gets its name, by an empty file in `unsynced/BOOT`,
//! where BOOT is the kernel's id of this boot. Filesystems with a journal keep the order of these changes, so a result
//! that exists after the power cut has its mark too. Marks are removed once everything is on the disk, and results with
//! a mark of an earlier boot are removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::background::{Background, Task};
use super::error::ignore;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How many marks there may be before everything is synced: the most results that a power cut can destroy.
const MOST: usize = 128;

/// The age of marks from which on syncing is cheap: by then, the kernel has written the data back itself.
const OLD: Duration = Duration::from_secs(60);

/// The marks of one store.
#[derive(Debug)]
pub(super) struct Marks {
    root: PathBuf,
    dir: PathBuf,
    count: AtomicUsize,
}

impl Marks {
    /// Opens the marks in `root/unsynced`, and returns the names that an earlier boot marked.
    pub(super) fn open(
        root: &Path,
        background: &Background,
    ) -> io::Result<(Self, Vec<StaleMarks>)> {
        let all = root.join("unsynced");
        let boot = fs::read_to_string(BOOT_ID)?;
        let dir = all.join(boot.trim());
        ignore(io::ErrorKind::AlreadyExists, fs::create_dir(&dir))?;
        let mut stale = Vec::new();
        let mut count = 0;
        for entry in fs::read_dir(&all)? {
            let boot = entry?.path();
            if boot == dir {
                count = fs::read_dir(&boot)?.count();
            } else {
                stale.push(StaleMarks::read(boot)?);
            }
        }
        let marks = Self {
            root: root.to_owned(),
            dir,
            count: AtomicUsize::new(count),
        };
        if count > 0 && age(&marks.dir)? > OLD {
            marks.sync_soon(background);
        }
        Ok((marks, stale))
    }

    /// Marks `name`, which is about to be published.
    pub(super) fn mark(&self, name: &str, background: &Background) -> io::Result<()> {
        File::create(self.dir.join(name))?;
        if self.count.fetch_add(1, Ordering::Relaxed) >= MOST {
            self.sync_soon(background);
        }
        Ok(())
    }

    /// Returns whether there are marks since the last sync.
    pub(super) fn are_some(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Syncs the filesystem in the background.
    pub(super) fn sync_soon(&self, background: &Background) {
        self.count.store(0, Ordering::Relaxed);
        background.enqueue(Task::Sync {
            root: self.root.clone(),
            marks: self.dir.clone(),
        });
    }
}

/// Marks of an earlier boot.
#[derive(Debug)]
pub(super) struct StaleMarks {
    /// Names of results and caches that may be damaged.
    pub(super) names: Vec<String>,
    dir: PathBuf,
}

impl StaleMarks {
    fn read(dir: PathBuf) -> io::Result<Self> {
        let names = fs::read_dir(&dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()?;
        Ok(Self { names, dir })
    }

    /// Removes the marks, once their results are removed.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(self.dir)
    }
}

fn age(path: &Path) -> io::Result<Duration> {
    let modified = fs::metadata(path)?.modified()?;
    Ok(SystemTime::now()
        .duration_since(modified)
        .unwrap_or_default())
}
