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

    /// Puts a cell at a column, which is at most [`nearest_column`](Self::nearest_column) of it.
    pub(super) fn put(&mut self, column: usize, cell: Cell) {
        self.changed = true;
        if column >= MAX_CHARACTERS {
            self.cut += 1;
            return;
        }
        while self.cells.len() <= column {
            self.cells.push(Cell::BLANK);
        }
        if let Some(place) = self.cells.get_mut(column) {
            *place = cell;
        }
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
        for cell in &self.cells {
            let Cell {
                character,
                style,
                link,
            } = *cell;
            let is_plain = is_text(character) || character == '\t';
            let style = if is_plain { style } else { style.escaped() };
            let link = usize::from(link).checked_sub(1);
            let link = link.and_then(|index| self.links.get(index));
            let is_full = runs.len() >= MAX_RUNS;
            let is_same = |run: &Run| run.style == style && run.link.as_ref() == link;
            if !runs.last().is_some_and(|last| is_full || is_same(last)) {
                runs.push(Run {
                    text: String::new(),
                    style,
                    link: link.cloned(),
                });
            }
            if let Some(run) = runs.last_mut() {
                match is_plain {
                    true => run.text.push(character),
                    false => run.text.extend(character.escape_default()),
                }
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
