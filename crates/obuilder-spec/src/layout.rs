//! Where lines break: the reference's pretty-printer, as far as specs need it.
//!
//! Headings of logs and printed specs are compared byte for byte, so this follows the rules of OCaml's
//! `Format` with its defaults, including their special cases: no group starts beyond [`MAX_INDENT`], no line
//! is indented further than that.

use bstr::BString;

/// How many columns a line should have at most, counting one bracket after the group.
const MARGIN: usize = 78;

/// How far a line is indented at most, and the last column in which a group may start.
const MAX_INDENT: usize = 68;

/// Something to lay out.
pub(crate) enum Doc {
    /// As it is. Has no newline.
    Text(BString),
    /// A space, where the line may break.
    Space,
    /// Nothing, where the line may break.
    Cut,
    /// The line breaks here.
    Newline,
    /// Parts, one after the other.
    Sequence(Vec<Self>),
    /// Parts that break together, with further lines aligned under the first, or this much to the right of it.
    Group(Breaks, usize, Vec<Self>),
}

/// Which of the places of a group break where they may.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Breaks {
    /// None.
    Never,
    /// All.
    Always,
    /// All, unless the group fits on the line.
    IfLong,
}

impl Doc {
    /// Returns a text.
    pub(crate) fn text(text: impl Into<BString>) -> Self {
        Self::Text(text.into())
    }

    /// Returns the documents with `separator` between any two.
    pub(crate) fn separated(
        docs: impl IntoIterator<Item = Self>,
        separator: fn() -> Self,
    ) -> Vec<Self> {
        let mut parts = Vec::new();
        for doc in docs {
            if !parts.is_empty() {
                parts.push(separator());
            }
            parts.push(doc);
        }
        parts
    }

    /// Returns how wide it is on one line. What a forced newline saves is not counted.
    fn width(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Space => 1,
            Self::Cut | Self::Newline => 0,
            Self::Sequence(parts) | Self::Group(_, _, parts) => parts.iter().map(Self::width).sum(),
        }
    }
}

/// Returns the text of a document.
pub(crate) fn render(doc: &Doc) -> BString {
    let mut page = Page::default();
    let outermost = Open {
        breaks: Breaks::Always,
        indent: 0,
    };
    page.print(doc, outermost);
    page.text
}

/// A group that is being printed.
#[derive(Clone, Copy)]
struct Open {
    breaks: Breaks,
    /// Where its further lines start.
    indent: usize,
}

#[derive(Default)]
struct Page {
    text: BString,
    /// How many bytes the last line has.
    column: usize,
}

impl Page {
    fn print(&mut self, doc: &Doc, within: Open) {
        match doc {
            Doc::Text(text) => self.push(text),
            Doc::Newline => self.start_line(within.indent),
            Doc::Space | Doc::Cut if within.breaks != Breaks::Never => {
                self.start_line(within.indent);
            }
            Doc::Space => self.push(b" "),
            Doc::Cut => {}
            Doc::Sequence(parts) => parts.iter().for_each(|part| self.print(part, within)),
            Doc::Group(breaks, offset, parts) => {
                // Whether it fits is judged where it would have started, even if it then moves to a line of its own.
                let breaks = match breaks {
                    Breaks::IfLong if self.column + doc.width() < MARGIN => Breaks::Never,
                    breaks => *breaks,
                };
                let may_break = within.breaks != Breaks::Never && within.indent < self.column;
                if self.column > MAX_INDENT && may_break {
                    self.start_line(within.indent);
                }
                let indent = self.column + offset;
                for part in parts {
                    self.print(part, Open { breaks, indent });
                }
            }
        }
    }

    fn push(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.column += text.len();
    }

    fn start_line(&mut self, indent: usize) {
        self.column = indent.min(MAX_INDENT);
        self.text.push(b'\n');
        self.text.extend(std::iter::repeat_n(b' ', self.column));
    }
}
