//! The scheduler's logs of attempts: files that only grow; and the store in which several schedulers share those that
//! are whole.

use std::collections::BTreeMap;

use jobs::AttemptId;

use crate::simulate::random::Random;

#[derive(Debug, Default)]
pub(crate) struct Logs(BTreeMap<AttemptId, LogFile>);

#[derive(Debug, Default)]
struct LogFile {
    bytes: Vec<u8>,
    synced: usize,
    is_complete: bool,
}

impl Logs {
    pub(crate) fn length(&self, attempt: AttemptId) -> usize {
        self.0.get(&attempt).map_or(0, |file| file.bytes.len())
    }

    pub(crate) fn is_complete(&self, attempt: AttemptId) -> bool {
        self.0.get(&attempt).is_some_and(|file| file.is_complete)
    }

    pub(crate) fn read(&self, attempt: AttemptId, start: usize) -> &[u8] {
        let file = self.0.get(&attempt);
        file.and_then(|file| file.bytes.get(start..))
            .unwrap_or_default()
    }

    /// Appends what is new of these bytes. A gap is refused.
    pub(crate) fn append(&mut self, attempt: AttemptId, start: usize, bytes: &[u8]) {
        let file = self.0.entry(attempt).or_default();
        if let Some(known) = file.bytes.len().checked_sub(start)
            && let Some(new) = bytes.get(known..)
        {
            file.bytes.extend_from_slice(new);
        }
    }

    /// A fault: appends these bytes, whatever their offset.
    pub(crate) fn append_blindly(&mut self, attempt: AttemptId, bytes: &[u8]) {
        self.0
            .entry(attempt)
            .or_default()
            .bytes
            .extend_from_slice(bytes);
    }

    /// The log is whole, and on disk.
    pub(crate) fn finish(&mut self, attempt: AttemptId, is_synced: bool) {
        let file = self.0.entry(attempt).or_default();
        if is_synced {
            file.synced = file.bytes.len();
        }
        file.is_complete = true;
    }

    /// Returns the attempts whose logs are whole here.
    pub(crate) fn whole(&self) -> impl Iterator<Item = AttemptId> {
        let whole = self.0.iter().filter(|(_, file)| file.is_complete);
        whole.map(|(attempt, _)| *attempt)
    }

    /// The machine loses power: of what was not synced, any part may be lost.
    pub(crate) fn lose_power(&mut self, random: &mut Random) {
        for file in self.0.values_mut() {
            let unsynced = file.bytes.len() - file.synced;
            let kept = file.synced + random.below(unsynced + 1);
            file.bytes.truncate(kept);
            file.is_complete &= unsynced == 0;
        }
    }
}

/// The store that all schedulers share: each log in it is whole, and never changes.
#[derive(Debug, Default)]
pub(crate) struct LogStore {
    logs: Logs,
    pub(crate) is_down: bool,
}

impl LogStore {
    pub(crate) fn has(&self, attempt: AttemptId) -> bool {
        self.logs.is_complete(attempt)
    }

    /// Returns the logs that can be read.
    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(crate) fn put(&mut self, attempt: AttemptId, log: &[u8]) {
        if !self.has(attempt) {
            self.logs.append(attempt, 0, log);
            self.logs.finish(attempt, true);
        }
    }
}
