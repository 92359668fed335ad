//! How it goes with a log store, counted by its thread and read by others.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use pool::Time;

/// Counted by the thread of a log store.
#[derive(Debug, Default)]
pub(super) struct Counters {
    waiting: AtomicU64,
    /// In microseconds since 1970; 0 if nothing waits.
    oldest: AtomicI64,
    uploads: AtomicU64,
    upload_bytes: AtomicU64,
    upload_micros: AtomicU64,
    failures: AtomicU64,
    read_bytes: AtomicU64,
    cached_bytes: AtomicU64,
    /// In microseconds since 1970; 0 while it answers.
    away_since: AtomicI64,
}

/// How it goes with a log store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogStoreStats {
    /// How many logs wait for their upload.
    pub(crate) waiting: u64,
    /// Since when the oldest of them waits.
    pub(crate) oldest: Option<Time>,
    /// How many logs were uploaded.
    pub(crate) uploads: u64,
    /// How many bytes these have.
    pub(crate) upload_bytes: u64,
    /// How long that took.
    pub(crate) upload_time: Duration,
    /// How many requests failed.
    pub(crate) failures: u64,
    /// How many bytes of logs were read.
    pub(crate) read_bytes: u64,
    /// How much of the disk logs take that are in the store.
    pub(crate) cached_bytes: u64,
    /// Since when it does not answer, or lets nobody in.
    pub(crate) away_since: Option<Time>,
}

impl Counters {
    pub(super) fn waiting(&self, count: usize, oldest: Option<Time>) {
        self.waiting.store(count as u64, Ordering::Relaxed);
        let oldest = oldest.map_or(0, Time::micros);
        self.oldest.store(oldest, Ordering::Relaxed);
    }

    pub(super) fn uploaded(&self, bytes: u64, time: Duration) {
        self.uploads.fetch_add(1, Ordering::Relaxed);
        self.upload_bytes.fetch_add(bytes, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.upload_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, bytes: u64) {
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn cached(&self, bytes: u64) {
        self.cached_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn away(&self, since: Option<Time>) {
        let since = since.map_or(0, Time::micros);
        self.away_since.store(since, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> LogStoreStats {
        let time = |micros: &AtomicI64| match micros.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Time::from_micros(micros)),
        };
        LogStoreStats {
            waiting: self.waiting.load(Ordering::Relaxed),
            oldest: time(&self.oldest),
            uploads: self.uploads.load(Ordering::Relaxed),
            upload_bytes: self.upload_bytes.load(Ordering::Relaxed),
            upload_time: Duration::from_micros(self.upload_micros.load(Ordering::Relaxed)),
            failures: self.failures.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            cached_bytes: self.cached_bytes.load(Ordering::Relaxed),
            away_since: time(&self.away_since),
        }
    }
}
