//! Texts that a peer has written: never too long, and in logs without anything that is not what it looks like.

use std::borrow::Cow;
use std::fmt;

use visible::is_visible;

/// The longest reason of an exception that is passed on, in bytes: upstream's hold the last lines of a build at most.
const MAX_REASON: usize = 16 * 1024;

/// How much of that is for saying that it was cut.
const MARK: usize = 64;

/// The longest text of a peer's that is logged, in bytes.
const MAX_SHOWN: usize = 1024;

/// Returns the reason of an exception as it may be passed on: cut, and marked as such, if it is too long.
pub(crate) fn reason(text: &str) -> Cow<'_, str> {
    if !is_too_long(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let (start, left) = cut(text, MAX_REASON - MARK);
    Cow::Owned(format!("{start}… ({left} more bytes)"))
}

/// Returns whether [`reason`] would cut it.
pub(crate) fn is_too_long(reason: &[u8]) -> bool {
    reason.len() > MAX_REASON
}

/// Splits off what is too long; returns what is not, and how many bytes are left.
fn cut(text: &str, most: usize) -> (&str, usize) {
    let start = text.get(..text.floor_char_boundary(most)).unwrap_or(text);
    (start, text.len() - start.len())
}

/// Shows a text on one line: cut if it is long, and with escapes for what would not show as itself.
pub(crate) struct Shown<'a>(pub(crate) &'a str, pub(crate) usize);

impl<'a> Shown<'a> {
    /// Shows as much of it as belongs in a log.
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text, MAX_SHOWN)
    }
}

impl fmt::Display for Shown<'_> {
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
        assert_eq!(Shown::new("plain ü").to_string(), "plain ü");
        let odd = "a\nb\u{1b}[31m\u{202e}c";
        assert_eq!(Shown::new(odd).to_string(), "a\\nb\\u{1b}[31m\\u{202e}c");
        let newlines = "\n".repeat(16 << 20);
        let shown = Shown::new(&newlines).to_string();
        assert!(shown.len() < MAX_SHOWN + 40);
        assert!(shown.ends_with("… (16776704 more bytes)"), "{shown}");
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(reason("short"), "short");
        let long = "ü".repeat(MAX_REASON);
        let cut = reason(&long);
        assert!(cut.starts_with("üü") && cut.ends_with("ü… (16448 more bytes)"));
        assert_eq!(reason(&cut), cut, "it is cut once");
    }
}
