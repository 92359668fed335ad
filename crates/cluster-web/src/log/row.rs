//! A line that may still change.

use std::sync::Arc;

use visible::is_text;

use super::cell::Cell;
use super::line::{Line, Run};

/// How many characters of a line are shown.
pub(super) const MAX_CHARACTERS: usize = 16 * 1024;
/// How far a sequence may go to the right of what a line has.
const MAX_JUMP: usize = 256;
/// How many links a line may have.
const MAX_LINKS: usize = 32;
/// How often a line may change its style.
const MAX_RUNS: usize = 1000;

/// A line that may still change.
#[derive(Debug)]
pub(super) struct Row {
    number: Option<u64>,
    pub(super) offset: u64,
    cells: Vec<Cell>,
    links: Vec<Arc<str>>,
    /// How many characters were not kept.
    cut: u64,
    /// Whether it has changed since it was last read.
    pub(super) changed: bool,
}

impl Row {
    pub(super) fn new(number: Option<u64>, offset: u64) -> Self {
        Self {
            number,
            offset,
            cells: Vec::new(),
            links: Vec::new(),
            cut: 0,
            changed: true,
        }
    }

    /// Returns an empty line in the memory of this one.
    pub(super) fn renewed(mut self, number: Option<u64>, offset: u64) -> Self {
        self.cells.clear();
        Self {
            cells: self.cells,
            ..Self::new(number, offset)
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        self.number
    }

    pub(super) fn length(&self) -> usize {
        self.cells.len()
    }

    /// Returns the column that is nearest to `column` and that this line can have.
    pub(super) fn nearest_column(&self, column: usize) -> usize {
        column.min(self.cells.len().max(MAX_JUMP))
    }

    /// Puts cells at a column, which is at most [`nearest_column`](Self::nearest_column) of it, and returns the column
    /// after them.
    pub(super) fn put(&mut self, column: usize, cells: impl Iterator<Item = Cell>) -> usize {
        self.changed = true;
        let mut cells = cells.peekable();
        if column < MAX_CHARACTERS && self.cells.len() < column {
            self.cells.resize(column, Cell::BLANK);
        }
        let mut next = column;
        let known = self.cells.get_mut(column..).into_iter().flatten();
        for place in known {
            let Some(cell) = cells.next() else { break };
            *place = cell;
            next += 1;
        }
        if cells.peek().is_none() {
            return next;
        }
        let before = self.cells.len();
        // Nothing is put behind a place that a line cannot have.
        let room = match column < MAX_CHARACTERS {
            true => MAX_CHARACTERS.saturating_sub(before),
            false => 0,
        };
        self.cells.extend(cells.by_ref().take(room));
        let cut = cells.count();
        self.cut += cut as u64;
        next.saturating_add(self.cells.len() - before)
            .saturating_add(cut)
    }

    /// Returns the number of a link in this line, or 0 if the line has too many.
    pub(super) fn link(&mut self, url: &Arc<str>) -> u8 {
        let known = self.links.iter().position(|known| Arc::ptr_eq(known, url));
        let index = known.unwrap_or(self.links.len());
        if index >= MAX_LINKS {
            return 0;
        }
        if known.is_none() {
            self.links.push(Arc::clone(url));
        }
        u8::try_from(index + 1).unwrap_or(0)
    }

    /// Erases what is at a column and to its right.
    pub(super) fn erase_from(&mut self, column: usize) {
        if column < self.cells.len() {
            self.cells.truncate(column);
            self.changed = true;
        }
        if column == 0 {
            self.cut = 0;
        }
    }

    /// Erases what is at a column and to its left.
    pub(super) fn erase_to(&mut self, column: usize) {
        let erased = self.cells.iter_mut().take(column.saturating_add(1));
        erased.for_each(|cell| *cell = Cell::BLANK);
        self.changed = true;
    }

    /// Returns this line as it is now.
    pub(super) fn line(&self) -> Line {
        let mut runs: Vec<Run> = Vec::new();
        for cells in self.cells.chunk_by(looks_alike) {
            let [cell, ..] = cells else { continue };
            let is_plain = is_plain(cell.character);
            let style = if is_plain {
                cell.style
            } else {
                cell.style.escaped()
            };
            let link = usize::from(cell.link).checked_sub(1);
            let link = link.and_then(|index| self.links.get(index));
            let is_full = runs.len() >= MAX_RUNS;
            let is_same = |run: &Run| run.style == style && run.link.as_ref() == link;
            if !runs.last().is_some_and(|last| is_full || is_same(last)) {
                runs.push(Run {
                    text: String::with_capacity(cells.len()),
                    style,
                    link: link.cloned(),
                });
            }
            let characters = cells.iter().map(|cell| cell.character);
            match runs.last_mut() {
                Some(run) if is_plain => run.text.extend(characters),
                Some(run) => run.text.extend(characters.flat_map(char::escape_default)),
                None => {}
            }
        }
        Line {
            number: self.number,
            offset: self.offset,
            runs,
            cut: self.cut,
        }
    }
}

/// Returns whether two characters are parts of one run.
fn looks_alike(a: &Cell, b: &Cell) -> bool {
    a.style == b.style && a.link == b.link && is_plain(a.character) == is_plain(b.character)
}

/// Returns whether a character is shown as it is.
fn is_plain(character: char) -> bool {
    matches!(character, ' '..='~' | '\t') || is_text(character)
}
