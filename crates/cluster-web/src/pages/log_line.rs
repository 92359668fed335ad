//! Lines of a log in a page.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::frame::time;
use super::log_mark::LogMark;
use crate::log::{Line, Severity, escape, step_title};

/// A line of a log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LogLine {
    /// Its number, from 1; null if the lines before it were not counted.
    pub number: Option<u64>,
    /// Where it begins in the log, in bytes.
    pub offset: u64,
    /// When it was written, after the start of the attempt; null if that is not known.
    pub at_seconds: Option<f64>,
    /// Its text, without colours.
    #[serde(rename = "text", serialize_with = "text_of")]
    #[schemars(with = "String")]
    line: Line,
    /// How bad it is what it says: `error`, `warning`, or null.
    pub level: Option<&'static str>,
    /// Whether it is one of those that were asked for.
    pub is_marked: bool,
    /// Whether it is the first of those that were asked for.
    #[serde(skip)]
    pub(super) is_first: bool,
}

fn text_of<S: Serializer>(line: &Line, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&line.text())
}

/// A line for a page that follows a log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FollowedLine {
    /// The id of its element. If the page has it already, the line has changed.
    pub id: String,
    /// Its element, as HTML.
    pub html: String,
    /// The title of the build step that begins with it, as HTML; null if none does.
    pub step: Option<String>,
}

/// When a line was written that a page has got before.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FollowedTime {
    /// The id of its element.
    pub id: String,
    /// The time, after the start of the attempt, for people.
    pub time: String,
}

impl FollowedTime {
    /// Returns the time of a line.
    pub fn of(id: String, mark: &LogMark) -> Self {
        Self {
            id,
            time: time(mark.at_seconds),
        }
    }
}

impl LogLine {
    /// Returns a line.
    pub fn of(line: Line, marks: &[LogMark]) -> Self {
        let severity = Severity::of(&line.text());
        Self::with(line, severity, marks)
    }

    /// Returns a line that is known to be so bad.
    pub(super) fn with(line: Line, severity: Severity, marks: &[LogMark]) -> Self {
        let level = match severity {
            Severity::Error | Severity::Consequence => Some("error"),
            Severity::Warning => Some("warning"),
            Severity::Plain => None,
        };
        let mark = LogMark::at(marks, line.offset);
        Self {
            number: line.number,
            offset: line.offset,
            at_seconds: mark.map(|mark| mark.at_seconds),
            line,
            level,
            is_marked: false,
            is_first: false,
        }
    }

    /// Returns whether it has no text.
    pub(super) fn is_empty(&self) -> bool {
        self.line.runs.iter().all(|run| run.text.is_empty())
    }

    /// Returns the id of its element: by its number, or by its offset if it has none.
    pub fn id(&self) -> String {
        match self.number {
            Some(number) => format!("L{number}"),
            None => format!("B{}", self.offset),
        }
    }

    /// Writes its element.
    fn write(&self, options: &LineOptions<'_>, time: &str, html: &mut String) {
        let (mut number, mut offset) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (letter, digits, shown) = match self.number {
            Some(known) => {
                let digits = number.format(known);
                ("L", digits, digits)
            }
            None => ("B", offset.format(self.offset), "·"),
        };
        let class = match (self.level, self.is_marked) {
            (Some("error"), false) => " class=\"e\"",
            (Some("error"), true) => " class=\"e in\"",
            (Some(_), false) => " class=\"w\"",
            (Some(_), true) => " class=\"w in\"",
            (None, true) => " class=\"in\"",
            (None, false) => "",
        };
        // There may be thousands, so nothing is formatted that can be put together.
        let id = [letter, digits];
        for part in ["<li id=\"", id[0], id[1], "\"", class, "><a href=\""] {
            html.push_str(part);
        }
        if !options.query.is_empty() {
            escape(options.query, html);
            let place = self.number.map_or("at=", |_| "line=");
            html.push_str(place);
            html.push_str(digits);
        }
        // Without scripts, it brings the line into view.
        let focus = if self.is_first { " autofocus" } else { "" };
        for part in [
            "#",
            id[0],
            id[1],
            "\" tabindex=\"-1\"",
            focus,
            ">",
            shown,
            "</a>",
        ] {
            html.push_str(part);
        }
        if !time.is_empty() {
            for part in ["<i>", time, "</i>"] {
                html.push_str(part);
            }
        }
        html.push_str("<code>");
        self.line.write_html(options.marked, html);
        html.push_str("</code></li>\n");
    }
}

/// How the elements of lines are written.
#[derive(Debug, Default)]
pub(super) struct LineOptions<'a> {
    /// What stands before the `#` in links to lines.
    pub(super) query: &'a str,
    /// What is marked in them; `None` for nothing.
    pub(super) marked: Option<&'a str>,
}

/// Writes the elements of lines.
pub(super) fn write_lines(lines: &[LogLine], options: &LineOptions<'_>, html: &mut String) {
    // Those that were written together have the same time.
    let mut known: Option<(f64, String)> = None;
    for line in lines {
        let shown = match line.at_seconds {
            None => "",
            Some(at) => {
                let is_known = known
                    .as_ref()
                    .is_some_and(|(known, _)| known.total_cmp(&at).is_eq());
                if !is_known {
                    known = Some((at, time(at)));
                }
                known.as_ref().map_or("", |(_, shown)| shown)
            }
        };
        line.write(options, shown, html);
    }
}

impl FollowedLine {
    /// Returns a line for a page that follows a log.
    pub fn of(line: &Line, marks: &[LogMark], query: &str) -> Self {
        let text = line.text();
        let line = LogLine::of(line.clone(), marks);
        let options = LineOptions {
            query,
            marked: None,
        };
        let mut html = String::new();
        write_lines(std::slice::from_ref(&line), &options, &mut html);
        Self {
            id: line.id(),
            html,
            step: step_title(&text).map(crate::log::escaped),
        }
    }
}
