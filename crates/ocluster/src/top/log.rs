//! The log of a job, as far as it is kept for the screen.

use std::collections::VecDeque;

use cluster_web::log::{Line, Start, Terminal};

use super::row::{Piece, Tone};

/// The most lines that are kept: the last ones.
const MAX_LINES: usize = 10_000;
/// The most characters of a line that are shown.
const MAX_CHARACTERS: usize = 4096;

/// The last lines of a log, as they are on pages: with colours, with the last state of a progress bar, and with nothing
/// else that a terminal would obey.
#[derive(Debug)]
pub(super) struct Log {
    terminal: Terminal,
    lines: VecDeque<LogLine>,
    /// Where the next bytes begin.
    next: u64,
    /// Whether its beginning is not shown.
    is_cut: bool,
    has_ended: bool,
}

#[derive(Debug)]
struct LogLine {
    /// Where it begins in the log, which identifies it.
    offset: u64,
    pieces: Vec<Piece>,
}

impl Log {
    /// Begins with the bytes at `offset`, or after them with the first whole line.
    pub(super) fn from(offset: u64) -> Self {
        let start = Start {
            offset,
            line: None,
            is_line: offset == 0,
        };
        Self {
            terminal: Terminal::new(start),
            lines: VecDeque::new(),
            next: offset,
            is_cut: offset > 0,
            has_ended: false,
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
        self.terminal.read(bytes);
        for line in self.terminal.take_changed() {
            self.put(LogLine::of(&line));
        }
    }

    /// Adds a line, or replaces the one that it was before.
    fn put(&mut self, line: LogLine) {
        // Only the last lines change.
        let before = self.lines.iter_mut().rev();
        let mut before = before.take_while(|known| known.offset >= line.offset);
        if let Some(known) = before.find(|known| known.offset == line.offset) {
            *known = line;
            return;
        }
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
            self.is_cut = true;
        }
        self.lines.push_back(line);
    }

    /// Returns its lines: where each begins in the log, and its pieces.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, &[Piece])> {
        let empty_end = usize::from(self.terminal.ends_with_empty_line());
        let lines = self.lines.len().saturating_sub(empty_end);
        let lines = self.lines.iter().take(lines);
        lines.map(|line| (line.offset, &*line.pieces))
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

impl LogLine {
    fn of(line: &Line) -> Self {
        let mut room = MAX_CHARACTERS;
        let mut pieces = Vec::with_capacity(line.runs.len());
        for run in &line.runs {
            let end = run.text.char_indices().nth(room);
            let shown = end.map_or(&*run.text, |(end, _)| run.text.split_at(end).0);
            pieces.push(Piece::new(shown, Tone::Log(run.style)));
            if end.is_some() {
                break;
            }
            room -= shown.chars().count();
        }
        let all: u64 = line
            .runs
            .iter()
            .map(|run| run.text.chars().count() as u64)
            .sum();
        let cut = line.cut + all.saturating_sub(MAX_CHARACTERS as u64);
        if cut > 0 {
            let more = format!(" … {cut} more characters");
            pieces.push(Piece::new(&more, Tone::Faint));
        }
        Self {
            offset: line.offset,
            pieces,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &Log) -> Vec<String> {
        let text = |line: &[Piece]| line.iter().map(|piece| &*piece.text).collect();
        log.lines().map(|(_, line)| text(line)).collect()
    }

    #[test]
    fn pieces_become_lines_in_which_only_colours_are_obeyed() {
        let mut log = Log::from(0);
        log.add(0, b"\x1b[1mone\x1b[0m\ncaf\xc3", 12);
        assert_eq!(lines(&log), ["one", "caf"]);
        let Some((_, first)) = log.lines().next() else {
            panic!("no line")
        };
        assert!(
            matches!(first, [Piece { tone: Tone::Log(style), .. }] if style.is_bold()),
            "{first:?}"
        );
        // What comes twice after a new connection is in it once.
        log.add(0, b"one", 3);
        log.add(
            12,
            b"\xa9 \x1b]8;;http://h\x07link\x1b]8;;\x07\x07\x1b[2J\n",
            44,
        );
        assert_eq!(lines(&log), ["one", "café link"]);
        // A progress bar has one line, and so has what is written over it.
        log.add(44, b"10 %\r20 %", 53);
        log.add(53, b"\rdone\n", 59);
        assert_eq!(lines(&log), ["one", "café link", "done"]);
        assert!(!log.is_cut() && !log.has_ended());
        log.add(59, b"", 59);
        assert!(log.has_ended());
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut log = Log::from(100);
        assert!(log.is_cut());
        log.add(100, &b"x\n".repeat(MAX_LINES + 5), 20_110);
        // The first one may be the end of a line.
        assert_eq!(lines(&log).len(), MAX_LINES - 1);
        log.add(20_110, &b"y".repeat(3 * MAX_CHARACTERS), 32_398);
        assert_eq!(lines(&log).len(), MAX_LINES);
        let last = lines(&log).pop().unwrap();
        assert!(last.ends_with("yyy … 8192 more characters"), "{last}");
    }
}
