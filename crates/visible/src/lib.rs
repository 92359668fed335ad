//! Texts from outside, as a reader may see them.
//!
//! Names, hints, exceptions and logs come from other machines. Printed as they are, they could control a terminal,
//! forge lines or look like something else. This crate has the one rule for which characters are printed as they are,
//! and the other rules that all programs share for what they show: names and their order, times, sizes, plurals,
//! texts that are cut, errors with their causes, URLs without credentials.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod beginning;
mod causes;
mod count;
mod credentials;
mod elapsed;
mod name;
mod natural;
mod printable;
mod size;

use core::fmt;

pub use self::beginning::{beginning, shortened};
pub use self::causes::with_causes;
pub use self::count::counted;
pub use self::credentials::without_credentials;
pub use self::elapsed::{CompactElapsed, Elapsed};
pub use self::name::{ClientId, MAX_NAME_BYTES, Name, NameError, WorkerName, check_name};
pub use self::natural::natural;
pub use self::printable::printable;
pub use self::size::{BinarySize, Size};

/// How many characters [`Shown`] shows.
const SHOWN: usize = 200;

/// Returns whether a reader sees `c` as what it is.
///
/// Not visible are control characters (they control terminals and forge lines), line and paragraph separators, all
/// spaces but the usual one, and characters without a shape or that change the order of others (U+202E, U+200B,
/// U+FEFF): they make two names look alike. The rule is that of std's `Debug` (the Unicode categories C and Z are not
/// visible), with Unicode's default-ignorable characters added.
pub fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    !is_ignorable(c) && is_printable(c)
}

/// Returns whether std prints `c` as it is. A combining mark is escaped only where there is nothing to combine it with.
fn is_printable(c: char) -> bool {
    let mut bytes = [b'a'; 5];
    let (_, rest) = bytes.split_at_mut(1);
    let length = c.encode_utf8(rest).len() + 1;
    let text = bytes.get(..length).map(core::str::from_utf8);
    matches!(text, Some(Ok(text)) if text.escape_debug().count() == 2)
}

/// Returns whether `c` shows nothing, though it counts as a letter, mark or symbol.
fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns whether `c` may be in a running text, such as a build's log.
///
/// Besides visible characters these are the spaces, joiners, variants and private characters that programs print. None
/// controls a terminal or changes the order of others.
pub fn is_text(c: char) -> bool {
    is_visible(c)
        || matches!(
            c,
            '\u{a0}'
                | '\u{ad}'
                | '\u{2000}'..='\u{200a}'
                | '\u{200c}'..='\u{200d}'
                | '\u{202f}'
                | '\u{205f}'
                | '\u{2800}'
                | '\u{3000}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{e000}'..='\u{f8ff}'
        )
}

/// A text in one line, with what is not visible escaped: `\n`, `\u{202e}`.
#[derive(Clone, Copy, Debug)]
pub struct OneLine<'a>(pub &'a str);

/// As [`OneLine`], but at most the first 200 characters of the text, and then `…`.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

/// A text of any number of lines, with what is not visible escaped, except the ends of lines and tabs.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a>(pub &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, is_visible)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN) {
            None => OneLine(self.0).fmt(f),
            Some((end, _)) => {
                let (beginning, _) = self.0.split_at(end);
                OneLine(beginning).fmt(f)?;
                f.write_str("…")
            }
        }
    }
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, |c| matches!(c, '\n' | '\t') || is_visible(c))
    }
}

fn write_escaped(
    f: &mut fmt::Formatter<'_>,
    text: &str,
    is_plain: impl Fn(char) -> bool,
) -> fmt::Result {
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| !is_plain(*c)) {
        let (plain, after) = rest.split_at(at);
        f.write_str(plain)?;
        write!(f, "{}", c.escape_default())?;
        let (_, after) = after.split_at(c.len_utf8());
        rest = after;
    }
    f.write_str(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_all_scripts_and_their_marks_are_visible() {
        for c in "aZ09-_.:@/ ~\"'\\éüñßЖ中文日本한עא\u{301}\u{94d}👍€".chars() {
            assert!(is_visible(c) && is_text(c), "{c:?}");
        }
    }

    #[test]
    fn deceptive_characters_are_not_visible() {
        for c in "\0\n\t\r\u{1b}\u{7f}\u{85}\u{9b}\u{34f}\u{61c}\u{115f}\u{200b}\u{200e}\
                  \u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{3164}\u{feff}\u{e0001}"
            .chars()
        {
            assert!(!is_visible(c) && !is_text(c), "{c:?}");
        }
        for c in "\u{a0}\u{ad}\u{200d}\u{2800}\u{3000}\u{e000}\u{fe0f}".chars() {
            assert!(!is_visible(c) && is_text(c), "{c:?}");
        }
    }

    #[test]
    fn what_is_not_visible_is_escaped() {
        let text = "a\n\u{202e}b\t\u{1b}[2J";
        assert_eq!(OneLine(text).to_string(), r"a\n\u{202e}b\t\u{1b}[2J");
        assert_eq!(Lines(text).to_string(), "a\n\\u{202e}b\t\\u{1b}[2J");
        assert_eq!(Lines("").to_string(), "");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(Shown(&"é".repeat(200)).to_string(), "é".repeat(200));
        assert_eq!(Shown(&"é".repeat(201)).to_string(), "é".repeat(200) + "…");
        assert_eq!(Shown("\n").to_string(), r"\n");
    }
}
