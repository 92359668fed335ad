//! The log of a fetch: whole lines, which stay readable in a saved log.

use std::fmt;

use visible::is_text;

use super::{FetchError, LogFunction};

/// Writes the log of a fetch.
#[derive(Clone, Copy)]
pub(super) struct Log<'a>(pub(super) LogFunction<'a>);

impl Log<'_> {
    /// Writes a line.
    pub(super) fn line(self, text: impl fmt::Display) -> Result<(), FetchError> {
        let line = format!("{}\n", plain(&text.to_string()));
        let written = (self.0)(line.as_bytes());
        written.map_err(|error| FetchError::Failed(format!("cannot write the step's log: {error}")))
    }
}

/// Replaces characters that control a terminal or change the order of the text: a registry could send them. Line
/// feeds and tabs stay.
pub(super) fn plain(text: &str) -> String {
    let is_plain = |c: char| matches!(c, '\n' | '\t') || is_text(c);
    text.chars()
        .map(|c| if is_plain(c) { c } else { '\u{fffd}' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(plain("a\x1b[2Kb\rc\td\n"), "a\u{fffd}[2Kb\u{fffd}c\td\n");
        assert_eq!(plain("é\u{202e}txt.exe"), "é\u{fffd}txt.exe");
    }
}
