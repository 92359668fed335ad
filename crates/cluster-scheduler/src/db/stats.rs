//! How the thread that writes is doing, for another one to read.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The writer's numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterStats {
    /// Writes that were requested and not tried yet.
    pub queued: usize,
    /// Changes that were not saved, and will be retried.
    pub unsaved: usize,
    /// Whether the last commit failed.
    pub is_failing: bool,
    /// Commits, including those that failed.
    pub commits: u64,
    /// Those that failed.
    pub failures: u64,
    /// How long all commits took together.
    pub commit_time: Duration,
}

/// Written by one thread, and read by another, which accepts numbers of different moments.
#[derive(Debug, Default)]
pub(super) struct WriterCounters {
    queued: AtomicUsize,
    unsaved: AtomicUsize,
    is_failing: AtomicBool,
    commits: AtomicU64,
    failures: AtomicU64,
    commit_micros: AtomicU64,
}

impl WriterCounters {
    pub(super) fn add_queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// A commit of `writes` that had waited has ended.
    pub(super) fn committed(&self, writes: usize, time: Duration, succeeded: bool) {
        self.queued.fetch_sub(writes, Ordering::Relaxed);
        self.is_failing.store(!succeeded, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.failures
            .fetch_add(u64::from(!succeeded), Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.commit_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn unsaved(&self, changes: usize) {
        self.unsaved.store(changes, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> WriterStats {
        WriterStats {
            queued: self.queued.load(Ordering::Relaxed),
            unsaved: self.unsaved.load(Ordering::Relaxed),
            is_failing: self.is_failing.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            commit_time: Duration::from_micros(self.commit_micros.load(Ordering::Relaxed)),
        }
    }
}
