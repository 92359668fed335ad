//! A line of a log.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::html::LineWriter;
use super::links::{find_links, find_text};
use super::style::Style;

/// A line of a log, as a terminal would show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1; `None` if the log was not read from its beginning, and nobody has counted.
    pub number: Option<u64>,
    /// Where it begins in the log, in bytes. It identifies the line.
    pub offset: u64,
    /// Its text, in runs that look alike. Nothing in it is a control character but tabs.
    pub runs: Vec<Run>,
    /// How many more characters it has, which are not shown.
    pub cut: u64,
}

/// A text that looks alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The text.
    pub text: String,
    /// How it looks.
    pub style: Style,
    /// Where it leads, if it is a link. It is an `http` or `https` URL.
    pub link: Option<Arc<str>>,
}

impl Line {
    /// Returns the text of the line.
    pub fn text(&self) -> Cow<'_, str> {
        match self.runs.as_slice() {
            [] => Cow::Borrowed(""),
            [run] => Cow::Borrowed(&run.text),
            runs => Cow::Owned(runs.iter().map(|run| &*run.text).collect()),
        }
    }

    /// Writes the HTML of the line. What equals `marked` in any case is marked.
    pub fn write_html(&self, marked: Option<&str>, html: &mut String) {
        let text = self.text();
        let links = find_links(&text);
        let marks = marked.map_or_else(Vec::new, |marked| find_text(&text, marked));
        let mut writer = LineWriter::new(html);
        // Those before the place that is written are done with.
        let (mut links, mut marks) = (links.as_slice(), marks.as_slice());
        let mut at = 0;
        for run in &self.runs {
            let end = at + run.text.len();
            let mut begin = at;
            while begin < end {
                let link = part_at(&mut links, begin);
                let mark = part_at(&mut marks, begin);
                let stop = end.min(link.stop).min(mark.stop);
                let found = link.range.and_then(|range| text.get(range));
                let part = text.get(begin..stop).unwrap_or_default();
                let link = run.link.as_deref().or(found);
                writer.write(part, run.style, link, mark.range.is_some());
                begin = stop;
            }
            at = end;
        }
        writer.finish(self.cut);
    }

    /// Returns the HTML of the line, as [`write_html`](Self::write_html) writes it.
    pub fn html(&self, marked: Option<&str>) -> String {
        let mut html = String::new();
        self.write_html(marked, &mut html);
        html
    }
}

/// A part of a line that is within one range, or outside all.
struct PartOfLine {
    range: Option<Range<usize>>,
    /// Where it ends.
    stop: usize,
}

/// Returns the part that a place is in. `ranges` are in their order; those that end before the place are removed.
fn part_at(ranges: &mut &[Range<usize>], place: usize) -> PartOfLine {
    while let Some((first, rest)) = ranges.split_first()
        && first.end <= place
    {
        *ranges = rest;
    }
    match ranges.first() {
        Some(range) if range.start <= place => PartOfLine {
            range: Some(range.clone()),
            stop: range.end,
        },
        Some(range) => PartOfLine {
            range: None,
            stop: range.start,
        },
        None => PartOfLine {
            range: None,
            stop: usize::MAX,
        },
    }
}
