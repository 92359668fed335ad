//! What is known of the lines of logs.

use std::collections::HashMap;

/// How far apart the places are that are remembered, in bytes.
pub(super) const INTERVAL: u64 = 1 << 20;

/// How many logs are remembered.
const MAX_LOGS: usize = 200;

/// The log of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LogId {
    pub(super) job: String,
    pub(super) attempt: u32,
}

/// A place in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The offset, in bytes.
    pub(super) offset: u64,
    /// The number of the line that this byte is in, from 1; `None` if the lines before it were not counted.
    pub(super) line: Option<u64>,
    /// Whether a line begins there.
    pub(super) is_line: bool,
}

/// What is known of the lines of logs.
#[derive(Debug, Default)]
pub(super) struct LineIndexes {
    logs: HashMap<LogId, LineIndex>,
}

/// The lines of a log, as far as they were counted.
#[derive(Clone, Debug, Default)]
pub(super) struct LineIndex {
    /// How many lines end before the offsets `0`, `INTERVAL`, …
    ends_before: Vec<u64>,
}

impl LineIndexes {
    pub(super) fn get(&self, log: &LogId) -> LineIndex {
        self.logs.get(log).cloned().unwrap_or_default()
    }

    pub(super) fn put(&mut self, log: &LogId, index: LineIndex) {
        let known = self
            .logs
            .get(log)
            .map_or(0, |known| known.ends_before.len());
        if known >= index.ends_before.len() {
            return;
        }
        if self.logs.len() >= MAX_LOGS && !self.logs.contains_key(log) {
            // Those that are still looked at are counted again.
            self.logs.clear();
        }
        self.logs.insert(log.clone(), index);
    }
}

impl LineIndex {
    /// Remembers a place, if it is the next one.
    pub(super) fn remember(&mut self, at: u64, ends: u64) {
        if at == self.ends_before.len() as u64 * INTERVAL {
            self.ends_before.push(ends);
        }
    }

    /// Returns the last remembered place that is not after an offset, and how many lines end before it.
    pub(super) fn before(&self, offset: u64) -> (u64, u64) {
        let wanted = usize::try_from(offset / INTERVAL).unwrap_or(usize::MAX);
        let place = wanted.min(self.ends_before.len().saturating_sub(1));
        let ends = self.ends_before.get(place).copied().unwrap_or(0);
        (place as u64 * INTERVAL, ends)
    }

    /// Returns the last remembered place before which fewer than so many lines end, and how many.
    pub(super) fn before_line(&self, line: u64) -> (u64, u64) {
        let place = self.ends_before.partition_point(|ends| ends + 1 < line);
        let place = place.saturating_sub(1);
        let ends = self.ends_before.get(place).copied().unwrap_or(0);
        (place as u64 * INTERVAL, ends)
    }
}
