//! One character of a line.

use super::style::Style;

/// A character of a line, and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) character: char,
    pub(super) style: Style,
    /// The number of its link among those of its row, from 1; 0 for no link.
    pub(super) link: u8,
}

impl Cell {
    pub(super) const BLANK: Self = Self {
        character: ' ',
        style: Style::PLAIN,
        link: 0,
    };
}
