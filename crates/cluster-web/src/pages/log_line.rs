//! Lines of a log in a page.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::frame::time;
use super::log_mark::LogMark;
use crate::log::{Line, Severity, step_title};

/// A line of a log.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct LogLine {
    /// Its number, from 1; null if the lines before it were not counted.
    pub number: Option<u64>,
    /// Where it begins in the log, in bytes.
    pub offset: u64,
    /// When it was written, after the start of the attempt; null if that is not known.
    pub at_seconds: Option<f64>,
    /// Its text, without colours.
    pub text: String,
    /// How bad it is what it says: `error`, `warning`, or null.
    pub level: Option<String>,
    /// Whether it is one of those that were asked for.
    pub is_marked: bool,
    /// Whether it is the first of those that were asked for.
    #[serde(skip)]
    pub(super) is_first: bool,
    /// Its HTML.
    #[serde(skip)]
    pub(super) html: String,
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
    /// Returns a line, with all that equals `marked` marked.
    pub fn of(line: &Line, marks: &[LogMark], marked: Option<&str>) -> Self {
        Self::with(line, Severity::of(&line.text()), marks, marked)
    }

    /// Returns a line that is known to be so bad.
    pub(super) fn with(
        line: &Line,
        severity: Severity,
        marks: &[LogMark],
        marked: Option<&str>,
    ) -> Self {
        let level = match severity {
            Severity::Error | Severity::Consequence => Some("error".to_owned()),
            Severity::Warning => Some("warning".to_owned()),
            Severity::Plain => None,
        };
        let mark = LogMark::at(marks, line.offset);
        Self {
            number: line.number,
            offset: line.offset,
            at_seconds: mark.map(|mark| mark.at_seconds),
            html: line.html(marked),
            text: line.text().into_owned(),
            level,
            is_marked: false,
            is_first: false,
        }
    }

    /// Returns the id of its element: by its number, or by its offset if it has none.
    pub fn id(&self) -> String {
        match self.number {
            Some(number) => format!("L{number}"),
            None => format!("B{}", self.offset),
        }
    }

    /// Writes its element. `query` is what stands before the `#` in links to lines.
    pub(super) fn write(&self, query: &str, html: &mut String) {
        let id = self.id();
        let class = match (self.level.as_deref(), self.is_marked) {
            (Some("error"), false) => " class=\"e\"",
            (Some("error"), true) => " class=\"e in\"",
            (Some(_), false) => " class=\"w\"",
            (Some(_), true) => " class=\"w in\"",
            (None, true) => " class=\"in\"",
            (None, false) => "",
        };
        let query = match (query, self.number) {
            ("", _) => String::new(),
            (query, Some(number)) => format!("{query}line={number}"),
            (query, None) => format!("{query}at={}", self.offset),
        };
        let query = crate::log::escaped(&query);
        let shown = self
            .number
            .map_or_else(|| "·".to_owned(), |number| number.to_string());
        // Without scripts, it brings the line into view.
        let focus = if self.is_first { " autofocus" } else { "" };
        write!(
            html,
            "<li id=\"{id}\"{class}><a href=\"{query}#{id}\" tabindex=\"-1\"{focus}>{shown}</a>"
        )
        .unwrap_or_default();
        if let Some(at) = self.at_seconds {
            write!(html, "<i>{}</i>", time(at)).unwrap_or_default();
        }
        html.push_str("<code>");
        html.push_str(&self.html);
        html.push_str("</code></li>\n");
    }
}

impl FollowedLine {
    /// Returns a line for a page that follows a log.
    pub fn of(line: &Line, marks: &[LogMark], query: &str) -> Self {
        let text = line.text();
        let line = LogLine::of(line, marks, None);
        let mut html = String::new();
        line.write(query, &mut html);
        Self {
            id: line.id(),
            html,
            step: step_title(&text).map(crate::log::escaped),
        }
    }
}
