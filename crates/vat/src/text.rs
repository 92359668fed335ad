//! Texts that a peer has written: limited in length, and without control characters in logs.

use std::borrow::Cow;
use std::fmt;

use visible::{beginning, is_visible};

/// The longest reason of an exception that is passed on, in bytes. Upstream's contain the last lines of a build at
/// most.
const MAX_REASON: usize = 16 * 1024;

/// How much of that is reserved for the note that it was cut, in bytes.
const CUT_NOTE: usize = 64;

/// The longest text of a peer's that is logged, in bytes.
const MAX_LOGGED: usize = 1024;

/// Returns the reason of an exception, cut and with a note of that if it is too long.
pub(crate) fn shorten_reason(text: &str) -> Cow<'_, str> {
    if !is_reason_too_long(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let (start, left) = cut(text, MAX_REASON - CUT_NOTE);
    Cow::Owned(format!("{start}… ({left} more bytes)"))
}

/// Returns whether [`shorten_reason`] would cut it.
pub(crate) fn is_reason_too_long(reason: &[u8]) -> bool {
    reason.len() > MAX_REASON
}

/// Returns the first `limit` bytes at most, and how many bytes are left.
fn cut(text: &str, limit: usize) -> (&str, usize) {
    let start = beginning(text, limit);
    (start, text.len() - start.len())
}

/// Shows a text on one line of at most so many bytes, with escapes for characters that are not visible as themselves.
pub(crate) struct LogText<'a>(pub(crate) &'a str, pub(crate) usize);

impl<'a> LogText<'a> {
    /// Shows as much of it as a log line may have.
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text, MAX_LOGGED)
    }
}

impl fmt::Display for LogText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let mut room = self.1;
        let mut rest = self.0.chars();
        while let Some(c) = rest.clone().next() {
            let length = if is_visible(c) {
                c.len_utf8()
            } else {
                c.escape_default().len()
            };
            if length > room {
                return write!(f, "… ({} more bytes)", rest.as_str().len());
            }
            if is_visible(c) {
                f.write_char(c)?;
            } else {
                write!(f, "{}", c.escape_default())?;
            }
            room -= length;
            rest.next();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_one_short_line() {
        assert_eq!(LogText::new("plain ü").to_string(), "plain ü");
        let odd = "a\nb\u{1b}[31m\u{202e}c";
        assert_eq!(LogText::new(odd).to_string(), "a\\nb\\u{1b}[31m\\u{202e}c");
        let newlines = "\n".repeat(16 << 20);
        let shown = LogText::new(&newlines).to_string();
        assert!(shown.len() < MAX_LOGGED + 40);
        assert!(shown.ends_with("… (16776704 more bytes)"), "{shown}");
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(shorten_reason("short"), "short");
        let long = "ü".repeat(MAX_REASON);
        let cut = shorten_reason(&long);
        assert!(cut.starts_with("üü") && cut.ends_with("ü… (16448 more bytes)"));
        assert_eq!(shorten_reason(&cut), cut, "it is cut once");
    }
}
