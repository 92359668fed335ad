//! Texts in one line.

use alloc::string::String;

use crate::is_visible;

/// Returns `text` with U+FFFD in place of characters that are invisible, or that a terminal would obey.
///
/// For texts that came from the network and go into one line, such as a worker's name.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if is_visible(c) { c } else { '\u{fffd}' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_control_the_terminal() {
        assert_eq!(
            printable("w\u{1b}[2J1\n\u{202e}"),
            "w\u{fffd}[2J1\u{fffd}\u{fffd}"
        );
    }
}
