//! A line of a log.

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
    pub fn text(&self) -> String {
        self.runs.iter().map(|run| &*run.text).collect()
    }

    /// Returns the HTML of the line. What equals `marked` in any case is marked.
    pub fn html(&self, marked: Option<&str>) -> String {
        let text = self.text();
        let links = find_links(&text);
        let marks = marked.map_or_else(Vec::new, |marked| find_text(&text, marked));
        let mut writer = LineWriter::default();
        let mut at = 0;
        for run in &self.runs {
            let end = at + run.text.len();
            let mut begin = at;
            while begin < end {
                // The next place at which a link or a mark begins or ends.
                let borders = links.iter().chain(&marks);
                let borders = borders.flat_map(|range| [range.start, range.end]);
                let next = borders.filter(|border| *border > begin).min();
                let stop = next.map_or(end, |next| next.min(end));
                let found = links.iter().find(|range| range.contains(&begin));
                let found = found.and_then(|range| text.get(range.clone()));
                let is_marked = marks.iter().any(|range| range.contains(&begin));
                let part = text.get(begin..stop).unwrap_or_default();
                writer.write(part, run.style, run.link.as_deref().or(found), is_marked);
                begin = stop;
            }
            at = end;
        }
        writer.finish(self.cut)
    }
}
