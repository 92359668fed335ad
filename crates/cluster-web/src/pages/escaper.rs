//! How templates escape.

use std::fmt::{self, Write};

use askama::filters::Escaper;
use visible::is_visible;

use crate::log::position;

/// Escapes what has a meaning in HTML, and writes what is not visible, such as a mark that turns the order of letters
/// around, as its code. Ends of lines and tabs stay.
#[derive(Clone, Copy, Debug, Default)]
pub struct VisibleHtml;

impl Escaper for VisibleHtml {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        let mut rest = string;
        // Most characters need no look of their own.
        while let Some(place) = position(rest, |byte| !is_plain(byte)) {
            let (before, special) = rest.split_at(place);
            dest.write_str(before)?;
            let mut special = special.chars();
            if let Some(c) = special.next() {
                write_char(&mut dest, c)?;
            }
            rest = special.as_str();
        }
        dest.write_str(rest)
    }

    fn write_escaped_char<W: Write>(&self, mut dest: W, c: char) -> fmt::Result {
        write_char(&mut dest, c)
    }
}

/// Returns whether a byte is a character that is written as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'')
}

fn write_char(dest: &mut impl Write, c: char) -> fmt::Result {
    match c {
        '&' => dest.write_str("&amp;"),
        '<' => dest.write_str("&lt;"),
        '>' => dest.write_str("&gt;"),
        '"' => dest.write_str("&quot;"),
        '\'' => dest.write_str("&#39;"),
        '\n' | '\t' => dest.write_char(c),
        c if is_visible(c) => dest.write_char(c),
        c => write!(dest, "{}", c.escape_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_can_neither_act_nor_hide() {
        let mut html = String::new();
        let text = "<b title=\"a\">'&'</b>\u{202e}\u{200b}\u{1b}é\n";
        VisibleHtml.write_escaped_str(&mut html, text).unwrap();
        assert_eq!(
            html,
            "&lt;b title=&quot;a&quot;&gt;&#39;&amp;&#39;&lt;/b&gt;\\u{202e}\\u{200b}\\u{1b}é\n"
        );
    }
}
