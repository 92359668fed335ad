//! The logs on disk that are in a log store, too: up to a size, the latest.

use std::collections::{HashMap, VecDeque};

use job_store::logs::{CachedLog, Logs};
use jobs::AttemptId;

use super::counters::Counters;

/// The logs on disk that are in a log store, too.
#[derive(Debug)]
pub(super) struct Cache {
    /// The oldest first. Some may be gone.
    order: VecDeque<AttemptId>,
    sizes: HashMap<AttemptId, u64>,
    bytes: u64,
    max_bytes: u64,
}

impl Cache {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            order: VecDeque::new(),
            sizes: HashMap::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Adds what an earlier process has left.
    pub(super) fn restore(&mut self, mut found: Vec<CachedLog>, logs: &Logs, counters: &Counters) {
        found.sort_by_key(|log| log.since);
        for log in found.into_iter().rev() {
            // One that was uploaded meanwhile is later than all of these.
            if self.sizes.insert(log.attempt, log.bytes).is_none() {
                self.order.push_front(log.attempt);
                self.bytes += log.bytes;
            }
        }
        self.shrink(logs, counters);
    }

    /// A log was uploaded.
    pub(super) fn add(&mut self, log: CachedLog, logs: &Logs, counters: &Counters) {
        if self.sizes.insert(log.attempt, log.bytes).is_none() {
            self.order.push_back(log.attempt);
            self.bytes += log.bytes;
        }
        self.shrink(logs, counters);
    }

    /// A log was removed.
    pub(super) fn remove(&mut self, attempt: AttemptId, counters: &Counters) {
        self.bytes -= self.sizes.remove(&attempt).unwrap_or(0);
        counters.cached(self.bytes);
    }

    /// Removes the oldest logs from the disk, until the others take no more than they may.
    fn shrink(&mut self, logs: &Logs, counters: &Counters) {
        while self.bytes > self.max_bytes
            && let Some(oldest) = self.order.pop_front()
        {
            let Some(bytes) = self.sizes.remove(&oldest) else {
                continue;
            };
            self.bytes -= bytes;
            if let Err(error) = logs.remove_cached(oldest) {
                // It is found again at the next start.
                tracing::warn!(
                    target: "scheduler",
                    "Cannot remove the log of {oldest}, which is in the log store: {error}"
                );
            }
        }
        counters.cached(self.bytes);
    }
}
