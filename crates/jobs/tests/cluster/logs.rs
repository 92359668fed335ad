//! The scheduler's logs of attempts: files that only grow.

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
