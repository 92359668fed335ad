//! What is saved beside the changes of jobs.

use std::collections::VecDeque;
use std::time::Instant;

use super::{CommitterThread, Report};
use crate::{Entry, Writer};

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
            Err(error) => {
                self.counters.failed();
                Report::NotAppended {
                    up_to: last,
                    error: error.to_string(),
                }
            }
        };
        (self.report)(report);
    }
}
