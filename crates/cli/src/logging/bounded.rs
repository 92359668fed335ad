//! Texts of a bounded length.
//!
//! A text in the log may be from another machine. It is cut while it is written, so that a name of 30 MiB costs no
//! more than a long one.

use std::fmt;

use visible::is_visible;

/// The most that a message takes, in bytes.
pub(super) const MESSAGE_BYTES: usize = 6 * 1024;

/// The most that the value of a field takes, in bytes.
pub(super) const FIELD_BYTES: usize = 1024;

/// The most that a whole line takes, in bytes, besides its mark.
pub(super) const LINE_BYTES: usize = 8 * 1024;

/// Stands for what was cut.
pub(super) const MARK: &str = "… (cut)";

/// Returns the bytes that a character takes in a line. Invisible ones are escaped there: `\u{202e}`, `\u001b`,
/// `\udb40\udc01`.
fn size(c: char) -> usize {
    match c {
        c if is_visible(c) => c.len_utf8(),
        '\0'..='\u{ffff}' => 8,
        _ => 12,
    }
}

/// A text of at most so many bytes.
#[derive(Debug)]
pub(super) struct Bounded {
    text: String,
    left: usize,
    is_cut: bool,
}

impl Bounded {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            text: String::new(),
            left: bytes,
            is_cut: false,
        }
    }

    /// Returns the text of `value`, cut if it is long.
    pub(super) fn of(value: impl fmt::Display, bytes: usize) -> String {
        let mut text = Self::new(bytes);
        // An error means that it was cut.
        fmt::Write::write_fmt(&mut text, format_args!("{value}")).ok();
        text.finish()
    }

    /// Returns the text, with a mark if it was cut.
    pub(super) fn finish(mut self) -> String {
        if self.is_cut {
            self.text.push_str(MARK);
        }
        self.text
    }
}

impl fmt::Write for Bounded {
    /// Fails when there is no room, so that the writer stops.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let size = size(c);
            if size > self.left {
                self.is_cut = true;
                return Err(fmt::Error);
            }
            self.left -= size;
            self.text.push(c);
        }
        Ok(())
    }
}
