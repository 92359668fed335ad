//! The characters of a line, and how they look.

use super::cell::Cell;
use super::style::Style;

/// The characters of a line.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Those of a line that was only written from left to right, as most are. Empty for any other line.
    straight: Straight,
    /// Those of any other line.
    cells: Vec<Cell>,
    /// Whether it is such a line.
    has_cells: bool,
}

/// Which characters a line has.
pub(super) enum Characters<'a> {
    /// Those of a line that was only written from left to right.
    Straight(&'a mut Straight),
    /// Those of any other line.
    Cells(&'a mut Vec<Cell>),
}

/// A text, and how its parts look. It takes a fraction of the memory and time that cells take.
#[derive(Debug, Default)]
pub(super) struct Straight {
    text: String,
    /// How many characters the text has.
    length: usize,
    parts: Vec<Part>,
}

/// A part of a text that looks alike.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Where it ends, in bytes.
    end: usize,
    style: Style,
    /// The number of its link among those of its row, from 1; 0 for no link.
    link: u8,
}

impl Written {
    /// Returns how many characters there are.
    pub(super) fn length(&self) -> usize {
        // One of them has none.
        self.straight.length + self.cells.len()
    }

    /// Removes all characters. Their memory stays for others.
    pub(super) fn clear(&mut self) {
        self.straight.clear();
        self.cells.clear();
        self.has_cells = false;
    }

    /// Returns the characters. Those of a straight line can only become more.
    pub(super) fn characters(&mut self) -> Characters<'_> {
        match self.has_cells {
            true => Characters::Cells(&mut self.cells),
            false => Characters::Straight(&mut self.straight),
        }
    }

    /// Returns the characters as cells, which can be changed in any order.
    pub(super) fn cells(&mut self) -> &mut Vec<Cell> {
        if !self.has_cells {
            self.straight.move_to(&mut self.cells);
            self.has_cells = true;
        }
        &mut self.cells
    }
}

impl Straight {
    pub(super) fn length(&self) -> usize {
        self.length
    }

    fn clear(&mut self) {
        self.text.clear();
        self.length = 0;
        self.parts.clear();
    }

    /// Adds the beginning of a text, of so many characters at most. Returns how many characters were too many.
    pub(super) fn push(&mut self, text: &str, room: usize, style: Style, link: u8) -> usize {
        // Of ASCII, the length is known.
        let (kept, length, cut) = if text.len() <= room && text.is_ascii() {
            (text, text.len(), 0)
        } else {
            let end = text.char_indices().nth(room).map(|(end, _)| end);
            let (kept, rest) = text.split_at(end.unwrap_or(text.len()));
            (kept, kept.chars().count(), rest.chars().count())
        };
        if kept.is_empty() {
            return cut;
        }
        self.text.push_str(kept);
        self.length += length;
        let end = self.text.len();
        match self.parts.last_mut() {
            Some(last) if last.style == style && last.link == link => last.end = end,
            _ => self.parts.push(Part { end, style, link }),
        }
        cut
    }

    /// Returns the parts: the text of each, how it looks, and the number of its link.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&str, Style, u8)> {
        let mut begin = 0;
        self.parts.iter().map(move |part| {
            let text = self.text.get(begin..part.end).unwrap_or_default();
            begin = part.end;
            (text, part.style, part.link)
        })
    }

    /// Takes the text and its style, if all of it looks alike, is not a link, and is ASCII.
    pub(super) fn take_plain(&mut self) -> Option<(String, Style)> {
        match self.parts.as_slice() {
            [part] if part.link == 0 && self.length == self.text.len() => {
                let style = part.style;
                let text = std::mem::take(&mut self.text);
                self.clear();
                Some((text, style))
            }
            _ => None,
        }
    }

    fn move_to(&mut self, cells: &mut Vec<Cell>) {
        for (text, style, link) in self.parts() {
            cells.extend(text.chars().map(|character| Cell {
                character,
                style,
                link,
            }));
        }
        self.clear();
    }
}
