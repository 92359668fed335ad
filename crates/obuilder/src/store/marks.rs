//! What a loss of power might have damaged.
//!
//! Nothing is written back when a step ends: that would cost more than the step. So after a loss of power a result may be
//! there by name, its files empty. Each result is therefore marked *before* it gets its name, by an empty file in
//! `unsynced/BOOT`, where BOOT is the kernel's id of this boot. Journals keep the order of such changes, so a result that
//! outlived the loss has its mark too. Marks go once the disk has everything, and those of an earlier boot condemn.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::background::{Background, Chore};
use super::error::unless;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// How many marks there may be before the disk is asked to write everything back: what a loss of power can cost.
const MOST: usize = 128;

/// The age from which on it costs little to ask: by then, the kernel has written back by itself.
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
    pub(super) fn open(root: &Path, background: &Background) -> io::Result<(Self, Vec<Doubt>)> {
        let all = root.join("unsynced");
        let boot = fs::read_to_string(BOOT_ID)?;
        let dir = all.join(boot.trim());
        unless(io::ErrorKind::AlreadyExists, fs::create_dir(&dir))?;
        let mut doubts = Vec::new();
        let mut count = 0;
        for entry in fs::read_dir(&all)? {
            let boot = entry?.path();
            if boot == dir {
                count = fs::read_dir(&boot)?.count();
            } else {
                doubts.push(Doubt::read(boot)?);
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
        Ok((marks, doubts))
    }

    /// Marks `name`, which is about to be published.
    pub(super) fn mark(&self, name: &str, background: &Background) -> io::Result<()> {
        File::create(self.dir.join(name))?;
        if self.count.fetch_add(1, Ordering::Relaxed) >= MOST {
            self.sync_soon(background);
        }
        Ok(())
    }

    /// Returns whether something was marked that the disk has not been asked to write back yet.
    pub(super) fn are_some(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Has everything written back, in the background.
    pub(super) fn sync_soon(&self, background: &Background) {
        self.count.store(0, Ordering::Relaxed);
        background.leave(Chore::Sync {
            root: self.root.clone(),
            marks: self.dir.clone(),
        });
    }
}

/// What was marked in an earlier boot.
#[derive(Debug)]
pub(super) struct Doubt {
    /// What may be damaged.
    pub(super) names: Vec<String>,
    dir: PathBuf,
}

impl Doubt {
    fn read(dir: PathBuf) -> io::Result<Self> {
        let names = fs::read_dir(&dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()?;
        Ok(Self { names, dir })
    }

    /// Forgets it, now that what was in doubt has gone.
    pub(super) fn settle(self) -> io::Result<()> {
        fs::remove_dir_all(self.dir)
    }
}

fn age(path: &Path) -> io::Result<Duration> {
    let modified = fs::metadata(path)?.modified()?;
    Ok(SystemTime::now()
        .duration_since(modified)
        .unwrap_or_default())
}
