//! The status line at the bottom of a terminal, which shows what a command waits for.
//!
//! It goes to standard error, and to nothing that is not a terminal: a log file gets none of it.

use std::cell::Cell;
use std::io::IsTerminal as _;

use crate::appearance;
use crate::print::{print_error, write_control};
use crate::quote::printable;
use crate::terminal;

/// A line that is replaced by the next, and erased before anything else is printed.
#[derive(Debug)]
pub struct StatusLine {
    /// False if standard error is not a terminal or the line is disabled: then nothing is shown.
    enabled: Cell<bool>,
    /// How many columns are taken; 0 when nothing is shown.
    shown: Cell<usize>,
}

impl StatusLine {
    /// Returns a line that is shown if standard error is a terminal.
    pub fn on_terminal() -> Self {
        Self {
            enabled: Cell::new(std::io::stderr().is_terminal() && !appearance::is_dumb()),
            shown: Cell::new(0),
        }
    }

    /// Returns whether anything would be shown, to avoid needless queries.
    pub fn is_enabled(&self) -> bool {
        self.enabled.get()
    }

    /// Shows `text` in place of what was shown before.
    pub fn show(&self, text: &str) {
        if self.enabled.get() {
            let text = fitted(text, terminal::columns(std::io::stderr()));
            let erased = erase_sequence(self.shown.replace(text.chars().count()));
            write_control(&format!("{erased}{text}"));
        }
    }

    /// Prints a line that stays above the status line. It may be longer than the terminal is wide.
    pub fn print_above(&self, text: &str) {
        if self.enabled.get() {
            self.clear();
            print_error(&format!("{}\n", printable(text)));
        }
    }

    /// Erases the line.
    pub fn clear(&self) {
        let columns = self.shown.replace(0);
        if columns > 0 {
            write_control(&erase_sequence(columns));
        }
    }

    /// Erases the line, and shows nothing from now on.
    pub fn disable(&self) {
        self.clear();
        self.enabled.set(false);
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Returns the text that erases a line of so many columns: blanks if escape sequences are disabled.
fn erase_sequence(columns: usize) -> String {
    if !appearance::is_colour_disabled() {
        return "\r\x1b[K".to_owned();
    }
    format!("\r{}\r", " ".repeat(columns))
}

/// Returns `text` cut so that it stays on one line of a terminal: a wrapped line could not be erased.
fn fitted(text: &str, width: usize) -> String {
    printable(text)
        .chars()
        .take(width.saturating_sub(1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_or_hostile_text_stays_on_one_line() {
        assert_eq!(fitted("building on w1", 80), "building on w1");
        assert_eq!(fitted("building on\nw1", 12), "building on");
        assert_eq!(fitted("a\x1b[A", 80), "a\u{fffd}[A");
    }
}
