//! Writes HTML.

use std::fmt::Write as _;

use super::position::position;
use super::style::Style;

/// Appends a text, with what has a meaning in HTML escaped. It fits between tags and in quoted attributes.
pub fn escape(text: &str, html: &mut String) {
    let mut rest = text;
    let is_special = |byte: u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'');
    while let Some(place) = position(rest, is_special) {
        let (before, special) = rest.split_at(place);
        html.push_str(before);
        let mut special = special.chars();
        html.push_str(match special.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            _ => "&#39;",
        });
        rest = special.as_str();
    }
    html.push_str(rest);
}

/// Returns a text as HTML, as [`escape`] writes it.
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    escape(text, &mut html);
    html
}

/// Writes the parts of a line. Parts with the same link are in one link.
#[derive(Debug)]
pub(super) struct LineWriter<'a> {
    html: &'a mut String,
    link: Option<&'a str>,
}

impl<'a> LineWriter<'a> {
    /// Begins to write a line behind what there is.
    pub(super) fn new(html: &'a mut String) -> Self {
        Self { html, link: None }
    }

    /// Writes a part of a line.
    pub(super) fn write(
        &mut self,
        text: &str,
        style: Style,
        link: Option<&'a str>,
        is_marked: bool,
    ) {
        if self.link != link {
            self.end_link();
            if let Some(url) = link {
                self.html.push_str("<a rel=\"noopener nofollow\" href=\"");
                escape(url, self.html);
                self.html.push_str("\">");
            }
            self.link = link;
        }
        let (begin, end) = match is_marked {
            true => ("<mark>", "</mark>"),
            false => ("", ""),
        };
        self.html.push_str(begin);
        match style {
            Style::PLAIN => escape(text, self.html),
            style => {
                self.html.push_str("<span class=\"");
                style.write_classes(self.html);
                self.html.push_str("\">");
                escape(text, self.html);
                self.html.push_str("</span>");
            }
        }
        self.html.push_str(end);
    }

    /// Ends the line, with a remark on how many characters are left out.
    pub(super) fn finish(mut self, cut: u64) {
        self.end_link();
        if cut > 0 {
            let counted = visible::counted(cut as usize, "more character");
            write!(
                self.html,
                "<span class=\"cut\">… {counted} in the raw log</span>"
            )
            .unwrap_or_default();
        }
    }

    fn end_link(&mut self) {
        if self.link.take().is_some() {
            self.html.push_str("</a>");
        }
    }
}
