//! The lines of a screen: texts, each with a tone that becomes a colour later, and tables of them.

use std::borrow::Cow;

use cluster_web::log::Style;
use visible::is_text;

use crate::columns::width;
pub(super) use crate::columns::{columns_of, filled};

/// What a text is, for its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Heading,
    /// Beside what matters.
    Faint,
    Good,
    Warning,
    Bad,
    /// Part of a log, which looks as its job has it.
    Log(Style),
}

/// A text and its tone. It has one line, and nothing in it that a terminal would obey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// What a row leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Pool(String),
    Worker {
        pool: String,
        worker: String,
    },
    Job(String),
    /// A job that has a number, but no id.
    Ticket {
        pool: String,
        ticket: u64,
    },
}

/// A line of a screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) pieces: Vec<Piece>,
    /// What it leads to; only such rows can be selected.
    pub(super) target: Option<Target>,
}

impl Piece {
    /// Makes a piece of any text.
    pub(super) fn new(text: &str, tone: Tone) -> Self {
        Self {
            text: harmless(text).into_owned(),
            tone,
        }
    }
}

impl Row {
    pub(super) fn new(text: &str, tone: Tone) -> Self {
        Self {
            pieces: vec![Piece::new(text, tone)],
            target: None,
        }
    }

    pub(super) fn plain(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }

    pub(super) fn text(&self) -> String {
        let texts = self.pieces.iter().map(|piece| piece.text.as_str());
        texts.collect()
    }

    /// Returns the part of its text that is of a log, and not a time before that.
    pub(super) fn log_text(&self) -> String {
        let pieces = self.pieces.iter();
        let of_log = pieces.filter(|piece| matches!(piece.tone, Tone::Log(_)));
        of_log.map(|piece| piece.text.as_str()).collect()
    }

    /// Returns whether it is part of a log.
    pub(super) fn is_of_log(&self) -> bool {
        let mut pieces = self.pieces.iter();
        pieces.any(|piece| matches!(piece.tone, Tone::Log(_)))
    }

    /// Returns whether it has `filter`, in either case.
    pub(super) fn matches(&self, filter: &str) -> bool {
        let text = self.text().to_lowercase();
        text.contains(&filter.to_lowercase())
    }
}

/// A line of a table.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    pub(super) cells: Vec<Piece>,
    pub(super) target: Option<Target>,
}

/// The most columns that a cell takes, but for the last one of its row.
const MAX_CELL: usize = 24;

/// Returns a heading and lines as rows that are at most `width` wide. Each but the last column is as wide as its widest
/// cell.
pub(super) fn table(heading: &[&str], lines: Vec<Cells>, width: usize) -> Vec<Row> {
    let heading = Cells {
        cells: heading
            .iter()
            .map(|name| Piece::new(name, Tone::Faint))
            .collect(),
        target: None,
    };
    let lines: Vec<Cells> = std::iter::once(heading).chain(lines).collect();
    let columns = lines.iter().map(|line| line.cells.len()).max();
    let widths: Vec<usize> = (0..columns.unwrap_or_default())
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.cells.get(column));
            let widest = cells.map(|cell| columns_of(&cell.text)).max();
            widest.unwrap_or_default().min(MAX_CELL)
        })
        .collect();
    let rows = lines.into_iter().map(|line| aligned(line, &widths, width));
    rows.collect()
}

fn aligned(line: Cells, widths: &[usize], width: usize) -> Row {
    let last = line.cells.len().saturating_sub(1);
    let mut pieces = vec![Piece::new("  ", Tone::Plain)];
    let mut used = 2;
    for (index, cell) in line.cells.into_iter().enumerate() {
        let left = width.saturating_sub(used);
        let room = match widths.get(index) {
            Some(room) if index < last => left.min(*room),
            _ => left,
        };
        let mut text = cut(&cell.text, room);
        if index < last {
            let blanks = (room + 2).saturating_sub(columns_of(&text));
            text.push_str(&" ".repeat(blanks));
        }
        used += columns_of(&text);
        pieces.push(Piece {
            text,
            tone: cell.tone,
        });
    }
    Row {
        pieces,
        target: line.target,
    }
}

/// Returns the text, cut to so many columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += width(c);
        if used > columns {
            break;
        }
        short.push(c);
    }
    if columns > 0 {
        short.push('…');
    }
    short
}

/// Returns pieces in rows of so many columns.
pub(super) fn wrapped_pieces(pieces: &[Piece], columns: usize) -> Vec<Row> {
    let mut rows = vec![Row::default()];
    let mut used = 0;
    for piece in pieces {
        let mut text = String::new();
        for c in piece.text.chars() {
            let width = width(c);
            if used + width > columns.max(2) {
                add_piece(&mut rows, std::mem::take(&mut text), piece.tone);
                rows.push(Row::default());
                used = 0;
            }
            used += width;
            text.push(c);
        }
        add_piece(&mut rows, text, piece.tone);
    }
    rows
}

/// Adds a text to the last of some rows.
fn add_piece(rows: &mut [Row], text: String, tone: Tone) {
    if let (Some(row), false) = (rows.last_mut(), text.is_empty()) {
        row.pieces.push(Piece { text, tone });
    }
}

/// Returns the text in one line, with everything escaped that a terminal would obey or that is not seen as what it is.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            // Where the next multiple of eight is depends on the row.
            '\t' => out.push_str("    "),
            c if is_text(c) => out.push(c),
            c => out.extend(c.escape_default()),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_table_is_never_wider_than_the_screen() {
        let line = |cells: [&str; 3]| Cells {
            cells: cells.map(|cell| Piece::new(cell, Tone::Plain)).to_vec(),
            target: None,
        };
        let lines = vec![
            line(["a", "2 of 4", "short"]),
            line(["名前\u{202e}x", "10 of 12", "a note that does not fit"]),
            line([&"x".repeat(100), "-", ""]),
        ];
        let rows = table(&["NAME", "RUNNING", "NOTE"], lines, 50);
        for row in &rows {
            assert!(columns_of(&row.text()) <= 50, "{row:?}");
        }
        let text: Vec<String> = rows.iter().map(|row| format!("|{}", row.text())).collect();
        expect![[r#"
            |  NAME                      RUNNING   NOTE
            |  a                         2 of 4    short
            |  名前\u{202e}x             10 of 12  a note that…
            |  xxxxxxxxxxxxxxxxxxxxxxx…  -         
        "#]]
        .assert_eq(&(text.join("\n") + "\n"));
    }

    #[test]
    fn pieces_are_cut_where_the_screen_ends() {
        let piece = |text: &str, tone| Piece::new(text, tone);
        let pieces = [piece("ab", Tone::Plain), piece("名前c", Tone::Bad)];
        let rows = wrapped_pieces(&pieces, 4);
        let rows: Vec<_> = rows.into_iter().map(|row| row.pieces).collect();
        let expected = [
            vec![piece("ab", Tone::Plain), piece("名", Tone::Bad)],
            vec![piece("前c", Tone::Bad)],
        ];
        assert_eq!(rows, expected);
        assert_eq!(wrapped_pieces(&[], 4), [Row::default()]);
    }

    #[test]
    fn nothing_in_a_text_is_obeyed() {
        assert_eq!(
            harmless("a\tb\x1b[2J\n\u{202e}"),
            "a    b\\u{1b}[2J\\n\\u{202e}"
        );
        assert_eq!(harmless("café ✔"), "café ✔");
    }
}
