//! The free space of a filesystem: one definition for stores, for a Docker engine's disk, and for checks of a machine.

use std::io;
use std::path::Path;

use rustix::fs::{statfs, statvfs};

use super::Usage;
use super::filesystem::BTRFS;

/// The free space of a filesystem, in bytes and in files.
///
/// It is the same as that of `df` and of the OCaml programs: room that is reserved for root counts neither as free nor
/// as used, so that an empty disk is 100 % free.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Space {
    /// Used and free space, in bytes.
    pub total: u64,
    /// Free space, in bytes.
    pub free: u64,
    /// Number of files that can exist. 0 if the filesystem has no such limit.
    pub total_files: u64,
    /// Number of files that can still be created.
    pub free_files: u64,
}

impl Space {
    /// Free percentage below which there may be no room left for a step.
    const USED_UP: f64 = 1.0;

    /// Number of free bytes that is always enough, however few percent of a large disk it is.
    const ENOUGH: u64 = 1 << 30;

    /// Number of free files that is always enough.
    const ENOUGH_FILES: u64 = 100_000;

    /// Measures the filesystem that `path` is on. On a network filesystem this may take long.
    ///
    /// On btrfs, unused space counts as free: the "available" space depends on the allocation of the disk, which
    /// changes with use, and can be zero on a disk that is half empty.
    ///
    /// # Errors
    /// If there is no such path, or the filesystem does not report it.
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

    /// Returns the space after the removal of files with this disk usage.
    #[must_use]
    pub fn without(self, usage: Usage) -> Self {
        let more = |free: u64, usage: u64, total: u64| free.saturating_add(usage).min(total);
        Self {
            free: more(self.free, usage.bytes, self.total),
            free_files: more(self.free_files, usage.files, self.total_files),
            ..self
        }
    }

    /// Returns the free percentage of bytes or of files, whichever is less.
    pub fn free_percent(self) -> f64 {
        self.free_bytes_percent().min(self.free_files_percent())
    }

    /// Returns the free percentage of bytes: 100 if they are not counted.
    pub fn free_bytes_percent(self) -> f64 {
        percent(self.free, self.total).unwrap_or(100.0)
    }

    /// Returns the free percentage of files: 100 if they are not counted.
    pub fn free_files_percent(self) -> f64 {
        percent(self.free_files, self.total_files).unwrap_or(100.0)
    }

    /// Returns whether so few bytes or files are free that steps fail.
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
