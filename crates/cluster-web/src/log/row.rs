//! A line that may still change.

use std::sync::Arc;

use visible::is_text;

use super::cell::Cell;
use super::line::{Line, Run};
use super::style::Style;
use super::written::{Characters, Straight, Written};

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
    written: Written,
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
            written: Written::default(),
            links: Vec::new(),
            cut: 0,
            changed: true,
        }
    }

    /// Becomes an empty line, in the memory that this one has.
    pub(super) fn renew(&mut self, number: Option<u64>, offset: u64) {
        let Self {
            number: own_number,
            offset: own_offset,
            written,
            links,
            cut,
            changed,
        } = self;
        (*own_number, *own_offset) = (number, offset);
        written.clear();
        links.clear();
        *cut = 0;
        *changed = true;
    }

    pub(super) fn number(&self) -> Option<u64> {
        self.number
    }

    pub(super) fn length(&self) -> usize {
        self.written.length()
    }

    /// Returns the column that is nearest to `column` and that this line can have.
    pub(super) fn nearest_column(&self, column: usize) -> usize {
        column.min(self.length().max(MAX_JUMP))
    }

    /// Puts a text at a column, which is at most [`nearest_column`](Self::nearest_column) of it, and returns the column
    /// after it.
    pub(super) fn put(&mut self, column: usize, text: &str, style: Style, link: u8) -> usize {
        self.changed = true;
        if let Characters::Straight(straight) = self.written.characters()
            && straight.length() == column
        {
            let cut = straight.push(
                text,
                MAX_CHARACTERS - column.min(MAX_CHARACTERS),
                style,
                link,
            );
            self.cut += cut as u64;
            return straight.length().saturating_add(cut);
        }
        self.put_cells(
            column,
            text.chars().map(|character| Cell {
                character,
                style,
                link,
            }),
        )
    }

    fn put_cells(&mut self, column: usize, cells: impl Iterator<Item = Cell>) -> usize {
        let known = self.written.cells();
        let mut cells = cells.peekable();
        if column < MAX_CHARACTERS && known.len() < column {
            known.resize(column, Cell::BLANK);
        }
        let mut next = column;
        for place in known.get_mut(column..).into_iter().flatten() {
            let Some(cell) = cells.next() else { break };
            *place = cell;
            next += 1;
        }
        if cells.peek().is_none() {
            return next;
        }
        let before = known.len();
        // Nothing is put behind a place that a line cannot have.
        let room = match column < MAX_CHARACTERS {
            true => MAX_CHARACTERS.saturating_sub(before),
            false => 0,
        };
        known.extend(cells.by_ref().take(room));
        let cut = cells.count();
        self.cut += cut as u64;
        next.saturating_add(known.len() - before)
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
        if column < self.length() {
            match column {
                0 => self.written.clear(),
                column => self.written.cells().truncate(column),
            }
            self.changed = true;
        }
        if column == 0 {
            self.cut = 0;
        }
    }

    /// Erases what is at a column and to its left.
    pub(super) fn erase_to(&mut self, column: usize) {
        let cells = self.written.cells().iter_mut();
        let erased = cells.take(column.saturating_add(1));
        erased.for_each(|cell| *cell = Cell::BLANK);
        self.changed = true;
    }

    /// Returns this line as it is now.
    pub(super) fn line(&mut self) -> Line {
        let runs = match self.written.characters() {
            Characters::Straight(straight) => straight_runs(straight, &self.links),
            Characters::Cells(cells) => cell_runs(cells, &self.links),
        };
        self.line_of(runs)
    }

    /// Returns this line, which is not needed any more.
    pub(super) fn take_line(&mut self) -> Line {
        if let Characters::Straight(straight) = self.written.characters()
            && let Some((text, style)) = straight.take_plain()
        {
            let run = Run {
                text,
                style,
                link: None,
            };
            return self.line_of(vec![run]);
        }
        self.line()
    }

    fn line_of(&self, runs: Vec<Run>) -> Line {
        Line {
            number: self.number,
            offset: self.offset,
            runs,
            cut: self.cut,
        }
    }
}

fn straight_runs(straight: &Straight, links: &[Arc<str>]) -> Vec<Run> {
    let mut runs = Runs::new(links);
    for (text, style, link) in straight.parts() {
        // Of ASCII, only characters come here that are shown as they are.
        if text.is_ascii() {
            runs.add(style, link, true).push_str(text);
            continue;
        }
        let characters: Vec<char> = text.chars().collect();
        for some in characters.chunk_by(|a, b| is_plain(*a) == is_plain(*b)) {
            let is_plain = some.first().is_some_and(|first| is_plain(*first));
            let text = runs.add(style, link, is_plain);
            write_characters(some.iter().copied(), is_plain, text);
        }
    }
    runs.runs
}

fn cell_runs(cells: &[Cell], links: &[Arc<str>]) -> Vec<Run> {
    let mut runs = Runs::new(links);
    for some in cells.chunk_by(looks_alike) {
        let [cell, ..] = some else { continue };
        let is_plain = is_plain(cell.character);
        let text = runs.add(cell.style, cell.link, is_plain);
        write_characters(some.iter().map(|cell| cell.character), is_plain, text);
    }
    runs.runs
}

fn write_characters(characters: impl Iterator<Item = char>, is_plain: bool, text: &mut String) {
    match is_plain {
        true => text.extend(characters),
        false => text.extend(characters.flat_map(char::escape_default)),
    }
}

/// The runs of a line, one after the other.
struct Runs<'a> {
    runs: Vec<Run>,
    links: &'a [Arc<str>],
}

impl<'a> Runs<'a> {
    fn new(links: &'a [Arc<str>]) -> Self {
        let runs = Vec::new();
        Self { runs, links }
    }

    /// Returns the text of the last run, to which a text of this kind belongs.
    fn add(&mut self, style: Style, link: u8, is_plain: bool) -> &mut String {
        let Self { runs, links } = self;
        let style = if is_plain { style } else { style.escaped() };
        let link = usize::from(link).checked_sub(1);
        let link = link.and_then(|index| links.get(index));
        let is_full = runs.len() >= MAX_RUNS;
        let is_same = |run: &Run| run.style == style && run.link.as_ref() == link;
        let last = runs.pop_if(|last| is_full || is_same(last));
        let run = last.unwrap_or_else(|| Run {
            text: String::new(),
            style,
            link: link.cloned(),
        });
        &mut runs.push_mut(run).text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_makes_no_difference_how_characters_are_kept() {
        let long = "x".repeat(MAX_CHARACTERS - 20);
        let mut red = Style::default();
        red.apply("31");
        let texts = [
            ("plain\t", Style::PLAIN, 0),
            ("é\u{202e}\u{200b}中", Style::PLAIN, 0),
            ("red", red, 0),
            ("a link", red, 1),
            ("\u{fffd}", Style::PLAIN, 1),
            (&*long, Style::PLAIN, 0),
            ("what fits and what é does not", red, 0),
            ("", red, 0),
            ("nothing", Style::PLAIN, 0),
        ];
        let [mut straight, mut cells] = [(), ()].map(|()| Row::new(Some(1), 0));
        cells.written.cells();
        for row in [&mut straight, &mut cells] {
            row.link(&Arc::from("https://a.example"));
        }
        let (mut column, mut same) = (0, 0);
        for (text, style, link) in texts {
            column = straight.put(column, text, style, link);
            same = cells.put(same, text, style, link);
            assert_eq!(
                (column, straight.length()),
                (same, cells.length()),
                "{text}"
            );
            assert_eq!(straight.line(), cells.line(), "{text}");
        }
        assert!(straight.line().cut > 0);
        // What is written over becomes cells.
        straight.put(2, "X", red, 0);
        cells.put(2, "X", red, 0);
        assert_eq!(straight.take_line(), cells.take_line());
    }
}
