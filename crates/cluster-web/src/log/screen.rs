//! The last lines of a log, which may still change, and those that no longer can.

use std::collections::VecDeque;
use std::sync::Arc;

use super::csi::Control;
use super::line::Line;
use super::links::is_web_link;
use super::row::Row;
use super::style::Style;

/// How many of the last lines may still change: more than the progress display of a build is high.
const MAX_ROWS: usize = 100;
/// How many characters they may have together.
const MAX_CELLS: usize = 32 * 1024;

/// How many characters sequences may replace by blanks: so many, and [`BLANKS_PER_LINE`] more with each line. Without a
/// limit, few bytes could have a long line filled again and again.
const MAX_BLANKS: usize = 1 << 20;
/// See [`MAX_BLANKS`].
const BLANKS_PER_LINE: usize = 4 * 1024;

/// The last lines of a log, and the place at which the next character is put.
#[derive(Debug)]
pub(super) struct Screen {
    /// Lines that have changed since they were last read, and cannot change any more.
    done: Vec<Line>,
    /// Never empty.
    rows: VecDeque<Row>,
    /// How many characters all rows have but the last one.
    cells: usize,
    row: usize,
    column: usize,
    style: Style,
    link: Option<Arc<str>>,
    /// How many characters sequences may still replace by blanks.
    blanks: usize,
}

impl Screen {
    pub(super) fn new(number: Option<u64>, offset: u64) -> Self {
        Self {
            done: Vec::new(),
            rows: VecDeque::from([Row::new(number, offset)]),
            cells: 0,
            row: 0,
            column: 0,
            style: Style::default(),
            link: None,
            blanks: MAX_BLANKS,
        }
    }

    /// Returns the lines that have changed since the last call, in their order.
    pub(super) fn take_changed(&mut self) -> Vec<Line> {
        let mut lines = std::mem::take(&mut self.done);
        for row in self.rows.iter_mut().filter(|row| row.changed) {
            row.changed = false;
            lines.push(row.line());
        }
        lines
    }

    /// Returns the number and the offset of the first line that may still change.
    pub(super) fn first(&self) -> (Option<u64>, u64) {
        let first = self.rows.front();
        first.map_or((None, 0), |row| (row.number(), row.offset))
    }

    /// Returns whether nothing has been written to the last line.
    pub(super) fn ends_with_empty_line(&self) -> bool {
        self.rows.back().is_none_or(|row| row.length() == 0)
    }

    pub(super) fn print(&mut self, character: char) {
        self.print_text(character.encode_utf8(&mut [0; 4]));
    }

    /// Prints characters that are not control characters.
    pub(super) fn print_text(&mut self, text: &str) {
        let (row, column) = (self.row, self.column);
        let is_last = row + 1 == self.rows.len();
        let Some(row) = self.rows.get_mut(row) else {
            return;
        };
        let link = self.link.as_ref().map_or(0, |url| row.link(url));
        let before = row.length();
        let style = self.style;
        // A line may have been erased to the left of this.
        let column = match self.blanks.checked_sub(column.saturating_sub(before)) {
            Some(left) => {
                self.blanks = left;
                column
            }
            None => row.nearest_column(column),
        };
        self.column = row.put(column, text, style, link);
        if !is_last {
            self.cells += row.length().saturating_sub(before);
        }
    }

    /// Goes to the beginning of the next line, which has that number and offset if it is a new one.
    pub(super) fn new_line(&mut self, number: Option<u64>, offset: u64) {
        self.blanks = MAX_BLANKS.min(self.blanks.saturating_add(BLANKS_PER_LINE));
        self.column = 0;
        self.row += 1;
        if self.row < self.rows.len() {
            return;
        }
        self.cells += self.rows.back().map_or(0, Row::length);
        // A row that leaves has the memory for the new one.
        let mut next = None;
        while self.rows.len() >= MAX_ROWS || !self.rows.is_empty() && self.cells > MAX_CELLS {
            let Some(mut row) = self.rows.pop_front() else {
                break;
            };
            self.cells = self.cells.saturating_sub(row.length());
            if row.changed {
                self.done.push(row.take_line());
            }
            next = Some(row);
        }
        match next {
            Some(mut row) => {
                row.renew(number, offset);
                self.rows.push_back(row);
            }
            None => self.rows.push_back(Row::new(number, offset)),
        }
        self.row = self.rows.len() - 1;
    }

    pub(super) fn go_to_column(&mut self, column: usize) {
        let row = self.rows.get(self.row);
        self.column = row.map_or(0, |row| row.nearest_column(column));
    }

    pub(super) fn back(&mut self) {
        self.column = self.column.saturating_sub(1);
    }

    pub(super) fn go_up(&mut self, lines: usize) {
        self.row = self.row.saturating_sub(lines);
        self.go_to_column(self.column);
    }

    fn go_down(&mut self, lines: usize) {
        self.row = self.row.saturating_add(lines).min(self.rows.len() - 1);
        self.go_to_column(self.column);
    }

    pub(super) fn set_link(&mut self, url: &str) {
        self.link = is_web_link(url).then(|| Arc::from(url));
    }

    /// Performs a control sequence.
    pub(super) fn control(&mut self, parameters: &str, last: char) {
        match Control::of(parameters, last) {
            Control::Style => self.style.apply(parameters),
            Control::Up(lines, to_start) => {
                self.go_up(lines);
                self.column = if to_start { 0 } else { self.column };
            }
            Control::Down(lines, to_start) => {
                self.go_down(lines);
                self.column = if to_start { 0 } else { self.column };
            }
            Control::Right(count) => self.go_to_column(self.column.saturating_add(count)),
            Control::Left(count) => self.column = self.column.saturating_sub(count),
            Control::Column(column) => self.go_to_column(column),
            Control::EraseRight => self.erase(|row, column| row.erase_from(column)),
            Control::EraseLeft => {
                let length = self.rows.get(self.row).map_or(0, Row::length);
                if let Some(left) = self.blanks.checked_sub(length) {
                    self.blanks = left;
                    self.erase(Row::erase_to);
                }
            }
            Control::EraseLine => self.erase(|row, _| row.erase_from(0)),
            Control::EraseBelow => self.erase_below(),
            Control::Nothing => {}
        }
    }

    fn erase(&mut self, erase: impl FnOnce(&mut Row, usize)) {
        let (row, column) = (self.row, self.column);
        let is_last = row + 1 == self.rows.len();
        if let Some(row) = self.rows.get_mut(row) {
            let before = row.length();
            erase(row, column);
            if !is_last {
                self.cells = self.cells.saturating_sub(before - row.length());
            }
        }
    }

    fn erase_below(&mut self) {
        self.erase(|row, column| row.erase_from(column));
        let at = self.row;
        for below in at + 1..self.rows.len() {
            self.row = below;
            self.erase(|row, _| row.erase_from(0));
        }
        self.row = at;
    }
}
