//! The printed form of checks, for the tests.

use super::check::{Check, text};

/// The most columns of a line in the tests.
const WIDTH: usize = 100;

/// Returns what is printed, with long lines folded at blanks: `\\` ends a line that goes on in the next.
pub(super) fn folded_text(checks: &[Check]) -> String {
    text(checks, false).lines().map(folded).collect()
}

fn folded(line: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in line.split_inclusive(' ') {
        let width = word.chars().count();
        if column > 0 && column + width > WIDTH && !word.trim().is_empty() {
            out.push_str("\\\n    ");
            column = 4;
        }
        out.push_str(word);
        column += width;
    }
    out + "\n"
}
