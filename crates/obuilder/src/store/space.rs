//! How much room a filesystem has: one meaning of it for stores, for a Docker engine's disk, and for whoever checks a machine.

use std::io;
use std::path::Path;

use rustix::fs::{statfs, statvfs};

use super::Usage;
use super::filesystem::BTRFS;

/// How much room there is: of bytes and of files, what is free of what is in use or free.
///
/// This is what `df` shows and the OCaml programs take: what a filesystem sets aside for the machine's administrator counts
/// neither as free nor as in use, so that a disk without files is 100 % free.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Space {
    /// What is in use or free for us, in bytes.
    pub total: u64,
    /// How much of it is free for us, in bytes.
    pub free: u64,
    /// How many files there are or can be. 0 where that has no limit of its own.
    pub total_files: u64,
    /// How many more there can be.
    pub free_files: u64,
}

impl Space {
    /// Below how many percent there may be no room left for a step.
    const USED_UP: f64 = 1.0;

    /// How many bytes are room enough, however few percent of a large disk they are.
    const ENOUGH: u64 = 1 << 30;

    /// How many files are.
    const ENOUGH_FILES: u64 = 100_000;

    /// Measures the filesystem that `path` is on. On a network filesystem this may take long.
    ///
    /// On btrfs, what is unused counts as free: what it calls available depends on how the disk is divided up, which changes
    /// with use, and can be nothing on a disk that is half empty.
    ///
    /// # Errors
    /// When there is no such path, or the system does not say.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = statvfs(path)?;
        let is_btrfs = statfs(path)?.f_type == BTRFS;
        let free = if is_btrfs {
            found.f_bfree
        } else {
            found.f_bavail
        };
        let usable =
            |all: u64, unused: u64, free: u64| all.saturating_sub(unused).saturating_add(free);
        Ok(Self {
            total: usable(found.f_blocks, found.f_bfree, free).saturating_mul(found.f_frsize),
            free: free.saturating_mul(found.f_frsize),
            total_files: usable(found.f_files, found.f_ffree, found.f_favail),
            free_files: found.f_favail,
        })
    }

    /// Returns what there would be if what takes `usage` were gone.
    #[must_use]
    pub fn without(self, usage: Usage) -> Self {
        let more = |free: u64, usage: u64, total: u64| free.saturating_add(usage).min(total);
        Self {
            free: more(self.free, usage.bytes, self.total),
            free_files: more(self.free_files, usage.files, self.total_files),
            ..self
        }
    }

    /// Returns how much is free, in percent: of bytes or of files, whichever is less.
    pub fn free_percent(self) -> f64 {
        self.free_bytes_percent().min(self.free_files_percent())
    }

    /// Returns how many of the bytes are free, in percent: all of them where they are not counted.
    pub fn free_bytes_percent(self) -> f64 {
        percent(self.free, self.total).unwrap_or(100.0)
    }

    /// Returns how many of the files are free, in percent: all of them where they are not counted.
    pub fn free_files_percent(self) -> f64 {
        percent(self.free_files, self.total_files).unwrap_or(100.0)
    }

    /// Returns whether there is so little left, of bytes or of files, that steps fail.
    pub fn is_used_up(self) -> bool {
        let is_low = |free: u64, total: u64, enough: u64| {
            free < enough && percent(free, total).is_some_and(|percent| percent < Self::USED_UP)
        };
        is_low(self.free, self.total, Self::ENOUGH)
            || is_low(self.free_files, self.total_files, Self::ENOUGH_FILES)
    }
}

fn percent(part: u64, all: u64) -> Option<f64> {
    // Sizes of filesystems are far below 2^53 times the precision that matters here.
    (all > 0).then(|| part as f64 * 100.0 / all as f64)
}
