//! One passing line at the bottom of a terminal, which says what a command waits for.
//!
//! It goes to standard error, and to nothing that is not a terminal: a log file gets none of it.

use std::cell::Cell;
use std::io::IsTerminal as _;

use crate::appearance;
use crate::print::steer;
use crate::quote::printable;

/// The width assumed of a terminal that does not tell.
const USUAL_WIDTH: usize = 80;

/// A line that is replaced by the next, and erased before anything else is printed.
#[derive(Debug)]
pub struct StatusLine {
    /// False when standard error is not a terminal, or the line has done its duty: then nothing is ever shown.
    enabled: Cell<bool>,
    /// How many columns are taken; 0 when nothing is shown.
    shown: Cell<usize>,
}

impl StatusLine {
    /// A line that is shown if standard error is a terminal.
    pub fn on_terminal() -> Self {
        Self {
            enabled: Cell::new(std::io::stderr().is_terminal() && !appearance::is_dumb()),
            shown: Cell::new(0),
        }
    }

    /// Tells whether anything would be shown, so that nobody asks questions whose answers would go nowhere.
    pub fn is_enabled(&self) -> bool {
        self.enabled.get()
    }

    /// Shows `text` in place of what was shown before.
    pub fn show(&self, text: &str) {
        if self.enabled.get() {
            let text = fitted(text, terminal_width());
            let erased = erasing(self.shown.replace(text.chars().count()));
            steer(&format!("{erased}{text}"));
        }
    }

    /// Erases the line.
    pub fn clear(&self) {
        let columns = self.shown.replace(0);
        if columns > 0 {
            steer(&erasing(columns));
        }
    }

    /// Erases the line for good.
    pub fn retire(&self) {
        self.clear();
        self.enabled.set(false);
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Returns what erases a line of so many columns: blanks for those who want no escape sequences.
fn erasing(columns: usize) -> String {
    if !appearance::is_colour_refused() {
        return "\r\x1b[K".to_owned();
    }
    format!("\r{}\r", " ".repeat(columns))
}

fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stderr())
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|&columns| columns > 0)
        .unwrap_or(USUAL_WIDTH)
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
