//! The latest pieces of logs that grow and are read meanwhile: their readers need not wait for the disk.

use std::collections::{HashMap, VecDeque};

use jobs::AttemptId;

/// How many pieces of a log are in memory. A reader asks for the next one after it has got one, so it is up to two
/// pieces behind.
const PIECES: usize = 2;

/// A log of which so many pieces came since it was last read is not in memory any more.
const MAX_UNREAD: u32 = 8;

/// The most that all logs take together, in bytes. What does not fit is read from the disk.
const MAX_BYTES: usize = 32 << 20;

/// The logs that are read while they grow.
#[derive(Default)]
pub(super) struct RecentLogs {
    logs: HashMap<AttemptId, Recent>,
    bytes: usize,
}

/// The latest pieces of a log.
#[derive(Default)]
struct Recent {
    /// Each with its offset in the log; the oldest first.
    pieces: VecDeque<(u64, Vec<u8>)>,
    /// How many came since it was last read.
    unread: u32,
}

impl RecentLogs {
    /// Returns what a log that grows has at an offset, to the end of that piece; `None` if that is not in memory.
    /// From now on its pieces are.
    pub(super) fn read(&mut self, attempt: AttemptId, start: u64) -> Option<Vec<u8>> {
        let recent = self.logs.entry(attempt).or_default();
        recent.unread = 0;
        recent.pieces.iter().find_map(|(offset, piece)| {
            let skipped = usize::try_from(start.checked_sub(*offset)?).ok()?;
            let rest = piece.get(skipped..).filter(|rest| !rest.is_empty());
            rest.map(<[u8]>::to_vec)
        })
    }

    /// A piece was added to a log.
    pub(super) fn add(&mut self, attempt: AttemptId, offset: u64, piece: Vec<u8>) {
        let Some(recent) = self.logs.get_mut(&attempt) else {
            return;
        };
        recent.unread += 1;
        if recent.unread > MAX_UNREAD || self.bytes + piece.len() > MAX_BYTES {
            self.remove(attempt);
            return;
        }
        self.bytes += piece.len();
        recent.pieces.push_back((offset, piece));
        if recent.pieces.len() > PIECES {
            let oldest = recent.pieces.pop_front();
            self.bytes -= oldest.map_or(0, |(_, piece)| piece.len());
        }
    }

    /// A log does not grow any more.
    pub(super) fn remove(&mut self, attempt: AttemptId) {
        let recent = self.logs.remove(&attempt).unwrap_or_default();
        let bytes: usize = recent.pieces.iter().map(|(_, piece)| piece.len()).sum();
        self.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use jobs::JobId;

    use super::*;

    fn attempt(job: u64) -> AttemptId {
        AttemptId {
            job: JobId::from_bits(job),
            number: 1,
        }
    }

    #[test]
    fn a_log_that_is_read_has_its_latest_pieces_in_memory() {
        let mut logs = RecentLogs::default();
        logs.add(attempt(1), 0, b"nobody reads it".to_vec());
        assert_eq!(logs.read(attempt(1), 0), None);
        for (offset, piece) in [(15, "one "), (19, "two "), (23, "three")] {
            logs.add(attempt(1), offset, piece.into());
        }
        let read = [0, 15, 19, 21, 23, 27, 28].map(|start| {
            let read = logs.read(attempt(1), start);
            read.map(|bytes| String::from_utf8(bytes).unwrap())
        });
        let expected = [
            None,
            None,
            Some("two "),
            Some("o "),
            Some("three"),
            Some("e"),
            None,
        ];
        assert_eq!(read, expected.map(|text| text.map(str::to_owned)));
        logs.remove(attempt(1));
        assert_eq!((logs.logs.len(), logs.bytes), (0, 0));
    }

    #[test]
    fn a_log_that_is_not_read_any_more_takes_no_memory() {
        let mut logs = RecentLogs::default();
        logs.read(attempt(1), 0);
        for offset in 0..=u64::from(MAX_UNREAD) {
            assert_eq!(logs.logs.len(), 1);
            logs.add(attempt(1), offset, vec![b'x']);
        }
        assert_eq!((logs.logs.len(), logs.bytes), (0, 0));
    }

    #[test]
    fn the_memory_of_all_logs_is_bounded() {
        let mut logs = RecentLogs::default();
        let piece = MAX_BYTES / 64;
        for job in 0..100 {
            logs.read(attempt(job), 0);
            logs.add(attempt(job), 0, vec![b'x'; piece]);
        }
        assert_eq!((logs.logs.len(), logs.bytes), (64, MAX_BYTES));
        assert_eq!(logs.read(attempt(99), 0), None);
    }
}
