//! The log of a job, as far as it is kept for the screen.

use std::collections::VecDeque;

use cli::terminal::PlainLog;

use super::row::harmless;

/// The most lines that are kept: the last ones.
const MAX_LINES: usize = 10_000;
/// The most bytes of a line. The rest of it is a line of its own.
const MAX_LINE_BYTES: usize = 4096;

/// The last lines of a log, without colours.
#[derive(Debug, Default)]
pub(super) struct Log {
    plain: PlainLog,
    lines: VecDeque<String>,
    /// The beginning of a line.
    pending: Vec<u8>,
    /// Where the next bytes begin.
    next: u64,
    /// Whether its beginning is not shown.
    is_cut: bool,
    has_ended: bool,
}

impl Log {
    /// Begins with the bytes at `offset`.
    pub(super) fn from(offset: u64) -> Self {
        Self {
            next: offset,
            is_cut: offset > 0,
            ..Self::default()
        }
    }

    /// Returns where the bytes begin that are missing.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Adds the bytes at `offset`, unless it has them. No bytes are the end.
    pub(super) fn add(&mut self, offset: u64, bytes: &[u8], next: u64) {
        if offset != self.next || self.has_ended {
            return;
        }
        self.has_ended = bytes.is_empty();
        self.next = next;
        for byte in self.plain.push(bytes) {
            match byte {
                b'\n' => self.end_line(),
                byte => self.pending.push(byte),
            }
            if self.pending.len() >= MAX_LINE_BYTES {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.pending);
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
            self.is_cut = true;
        }
        self.lines.push_back(shown(&line));
    }

    /// Returns its lines, each harmless, with what is there of the last one.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let pending = (!self.pending.is_empty()).then(|| shown(&self.pending));
        self.lines.iter().cloned().chain(pending)
    }

    /// Returns whether lines before the first are not shown.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Returns whether there will be no more.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }
}

fn shown(line: &[u8]) -> String {
    harmless(&String::from_utf8_lossy(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &Log) -> Vec<String> {
        log.lines().collect()
    }

    #[test]
    fn pieces_become_lines_without_colours() {
        let mut log = Log::from(0);
        log.add(0, b"\x1b[1mone\x1b[0m\ncaf\xc3", 12);
        assert_eq!(lines(&log), ["one", "caf\u{fffd}"]);
        // What comes twice after a new connection is in it once.
        log.add(0, b"one", 3);
        log.add(12, b"\xa9 \x1b]8;;http://h\x07link\x1b]8;;\x07\x07\n", 40);
        assert_eq!(lines(&log), ["one", "café link\\u{7}"]);
        assert!(!log.is_cut() && !log.has_ended());
        log.add(40, b"", 40);
        assert!(log.has_ended());
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut log = Log::from(100);
        assert!(log.is_cut());
        log.add(100, &b"x\n".repeat(MAX_LINES + 5), 20_110);
        log.add(20_110, &b"y".repeat(3 * MAX_LINE_BYTES), 40_000);
        assert_eq!(lines(&log).len(), MAX_LINES);
        assert_eq!(
            log.lines().last().map(|line| line.len()),
            Some(MAX_LINE_BYTES)
        );
    }
}
