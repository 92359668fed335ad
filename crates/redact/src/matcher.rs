//! Matching of one automaton against an output, with the offsets of the bytes that may belong to a secret.

use std::collections::VecDeque;

use crate::patterns::{Patterns, State};

/// The longest line break within an encoding, in bytes: Windows writes `\r\r\n` to a terminal.
///
/// Without a limit, all output of a program that prints only line breaks would stay pending.
const MAX_LINE_BREAK_BYTES: u8 = 3;

/// Matches the patterns of one automaton against an output.
pub(crate) struct Matcher {
    state: State,
    skips_line_breaks: bool,
    /// How many of the last bytes are line breaks.
    line_breaks: u8,
    /// The offsets of the bytes that could be the beginning of a pattern. Skipped line breaks are not among them.
    offsets: VecDeque<u64>,
}

impl Matcher {
    /// Returns a matcher at the start of an output. `skips_line_breaks` says whether it finds patterns across lines.
    pub(crate) fn new(patterns: &Patterns, skips_line_breaks: bool) -> Self {
        Self {
            state: patterns.start(),
            skips_line_breaks,
            line_breaks: 0,
            offsets: VecDeque::new(),
        }
    }

    /// Reads the byte at `offset`. Returns where the longest pattern that ends with it begins.
    pub(crate) fn next(&mut self, patterns: &Patterns, byte: u8, offset: u64) -> Option<u64> {
        if self.skips_line_breaks && matches!(byte, b'\n' | b'\r') {
            self.line_breaks = self.line_breaks.saturating_add(1);
            if self.line_breaks > MAX_LINE_BREAK_BYTES {
                self.state = patterns.start();
                self.offsets.clear();
            }
            return None;
        }
        self.line_breaks = 0;
        let found = patterns.next(&mut self.state, byte);
        self.offsets.push_back(offset);
        let depth = patterns.depth(self.state);
        // A found pattern is not longer than what is kept, as it is part of the state.
        let unneeded = self.offsets.len().saturating_sub(depth);
        self.offsets.drain(..unneeded);
        // If no pattern was found, this index is after the last offset.
        let begin = self.offsets.len().checked_sub(found)?;
        self.offsets.get(begin).copied()
    }

    /// Returns the offset of the first byte that could be the beginning of a pattern.
    pub(crate) fn first_undecided(&self) -> Option<u64> {
        self.offsets.front().copied()
    }
}
