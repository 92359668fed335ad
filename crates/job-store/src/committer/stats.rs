//! Numbers about the thread, which any thread may read.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Counted by the thread that saves.
#[derive(Debug, Default)]
pub(super) struct Counters {
    queued: AtomicU64,
    is_failing: AtomicBool,
    commits: AtomicU64,
    failures: AtomicU64,
    commit_micros: AtomicU64,
    cleanup_failures: AtomicU64,
}

/// How saving goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitterStats {
    /// How many changes and entries are not on disk yet.
    pub queued: u64,
    /// Whether the latest commit failed.
    pub is_failing: bool,
    /// How many commits have succeeded.
    pub commits: u64,
    /// How many have failed.
    pub failures: u64,
    /// How long those took together that have succeeded.
    pub commit_time: Duration,
    /// How often something could not be removed that was too old, or took too much of the disk.
    pub cleanup_failures: u64,
}

impl Counters {
    pub(super) fn add(&self, count: usize) {
        self.queued.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// So many are on disk, or not wanted any more.
    pub(super) fn remove(&self, count: usize) {
        self.queued.fetch_sub(count as u64, Ordering::Relaxed);
    }

    pub(super) fn committed(&self, time: Duration) {
        self.is_failing.store(false, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.commit_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.is_failing.store(true, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cleanup_failed(&self) {
        self.cleanup_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> CommitterStats {
        CommitterStats {
            queued: self.queued.load(Ordering::Relaxed),
            is_failing: self.is_failing.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            commit_time: Duration::from_micros(self.commit_micros.load(Ordering::Relaxed)),
            cleanup_failures: self.cleanup_failures.load(Ordering::Relaxed),
        }
    }
}
