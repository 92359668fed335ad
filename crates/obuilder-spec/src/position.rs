//! Places in a text, as editors count them.

use std::fmt;

use bstr::ByteSlice as _;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1. What is not UTF-8 counts as an editor shows it.
    pub column: usize,
}

impl Position {
    /// Returns the position of the byte `at`. Parsing keeps offsets; lines and columns are counted for an error only.
    pub(crate) fn of(text: &[u8], at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind_byte(b'\n').map_or(0, |newline| newline + 1);
        let in_line = before.get(line_start..).unwrap_or_default();
        Self {
            line: before.find_iter(b"\n").count() + 1,
            column: in_line.chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}
