//! What is saved beside the changes of jobs, and what expires.

use std::collections::VecDeque;
use std::time::Instant;

use super::{CommitterThread, PIECE, Report};
use crate::{Entry, Expiry, Writer};

/// How many entries wait for the disk at most. While it is full, the oldest of more are dropped.
const MAX_WAITING: usize = 10_000;

/// The entries that are not on disk yet.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The oldest first.
    unsaved: VecDeque<Entry>,
    /// The number of the latest one.
    last: u64,
    pub(super) is_failing: bool,
    /// What is to be removed.
    pub(super) expiry: Option<Expiry>,
}

impl Entries {
    /// Adds an entry. Returns how many were dropped for it.
    pub(super) fn add(&mut self, entry: Entry) -> usize {
        self.last += 1;
        self.unsaved.push_back(entry);
        let dropped = self.unsaved.len().saturating_sub(MAX_WAITING);
        self.unsaved.drain(..dropped);
        dropped
    }
}

impl<W: Writer, F: Fn(Report)> CommitterThread<W, F> {
    /// Saves the entries, all of them or none.
    pub(super) fn append(&mut self) {
        if self.entries.unsaved.is_empty() {
            return;
        }
        let last = self.entries.last;
        let started = Instant::now();
        let result = self.writer.append(self.entries.unsaved.make_contiguous());
        self.entries.is_failing = result.is_err();
        let report = match result {
            Ok(()) => {
                self.counters.committed(started.elapsed());
                self.counters.remove(self.entries.unsaved.len());
                self.entries.unsaved.clear();
                Report::Appended(last)
            }
            Err(_) => {
                self.counters.failed();
                Report::NotAppended(last)
            }
        };
        (self.report)(report);
    }

    /// Removes a piece of what has expired. What cannot be removed now is tried again when it is asked for again.
    pub(super) fn expire(&mut self) {
        let failing = self.is_failing || self.entries.is_failing;
        let Some(expiry) = self.entries.expiry.take_if(|_| !failing) else {
            return;
        };
        let Ok(expired) = self.writer.expire(&expiry, PIECE) else {
            return;
        };
        if expired.logs.is_empty() && expired.entries == 0 {
            return;
        }
        let freed: u64 = expired.logs.iter().map(|log| log.bytes).sum();
        self.entries.expiry = Some(Expiry {
            excess_bytes: expiry.excess_bytes.saturating_sub(freed),
            ..expiry
        });
        (self.report)(Report::Expired(expired));
    }
}
