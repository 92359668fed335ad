//! One automaton's way through an output: where what it found begins, and where what it may yet find would.

use std::collections::VecDeque;

use crate::patterns::{Patterns, State};

/// The most line breaks in a row that an encoding may be broken by, in bytes: `\r\r\n` is one of Windows on a terminal.
///
/// Without a limit, a program that prints nothing else would have all of it held back.
const LONGEST_LINE_BREAK: u8 = 3;

/// One automaton's way through an output.
pub(crate) struct Lane {
    state: State,
    skips_line_breaks: bool,
    /// How many line breaks came last.
    line_breaks: u8,
    /// Where the bytes are that could be the beginning of a pattern: their offsets in the output, of which a line break may be left
    /// out.
    offsets: VecDeque<u64>,
}

impl Lane {
    /// `skips_line_breaks`: whether it finds patterns that are broken into lines.
    pub(crate) fn new(patterns: &Patterns, skips_line_breaks: bool) -> Self {
        Self {
            state: patterns.start(),
            skips_line_breaks,
            line_breaks: 0,
            offsets: VecDeque::new(),
        }
    }

    /// Reads the byte at `offset`, and returns where the longest pattern begins that ends with it.
    pub(crate) fn next(&mut self, patterns: &Patterns, byte: u8, offset: u64) -> Option<u64> {
        if self.skips_line_breaks && matches!(byte, b'\n' | b'\r') {
            self.line_breaks = self.line_breaks.saturating_add(1);
            if self.line_breaks > LONGEST_LINE_BREAK {
                self.state = patterns.start();
                self.offsets.clear();
            }
            return None;
        }
        self.line_breaks = 0;
        let found = patterns.next(&mut self.state, byte);
        self.offsets.push_back(offset);
        let depth = patterns.depth(self.state);
        // What was found is as long as what is kept, as its last byte is the state's.
        let unneeded = self.offsets.len().saturating_sub(depth);
        self.offsets.drain(..unneeded);
        // If nothing was found, this is after the last.
        let begin = self.offsets.len().checked_sub(found)?;
        self.offsets.get(begin).copied()
    }

    /// Returns where the first byte is that could be the beginning of a pattern.
    pub(crate) fn undecided(&self) -> Option<u64> {
        self.offsets.front().copied()
    }
}
