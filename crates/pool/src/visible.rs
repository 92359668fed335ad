//! Characters that a reader can see, as opposed to those that steer a terminal, change the order of a line or leave no trace.

use core::fmt;

/// How many characters of a text from outside are shown in one line.
const SHOWN: usize = 200;

/// Tells whether a reader sees `c` as what it is.
///
/// Not seen are control characters (they steer terminals and forge lines), line and paragraph separators, all spaces but the usual
/// one, and characters without a shape or that change the order of others (U+202E, U+200B, U+FEFF): with them, two names look
/// like one. What std's own `Debug` escapes is the base (the Unicode categories C and Z); Unicode's default-ignorable characters
/// complete it.
pub fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    !is_ignorable(c) && is_printable(c)
}

/// Tells whether std prints `c` as it is. A combining mark is escaped only where there is nothing to combine it with.
fn is_printable(c: char) -> bool {
    let mut bytes = [b'a'; 5];
    let (_, rest) = bytes.split_at_mut(1);
    let length = c.encode_utf8(rest).len() + 1;
    let text = bytes.get(..length).map(core::str::from_utf8);
    matches!(text, Some(Ok(text)) if text.escape_debug().count() == 2)
}

/// Tells whether `c` is one of those that show nothing, though they count as letters, marks or symbols.
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

/// A text from outside as one line shows it: at most 200 characters, those that cannot be seen escaped.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_shown(f, self.0)
    }
}

/// Writes at most 200 characters of `text`, those that cannot be seen escaped (`\n`, `\u{202e}`), and `…` for the rest.
pub(crate) fn write_shown(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut characters = text.chars();
    for c in characters.by_ref().take(SHOWN) {
        if is_visible(c) {
            f.write_char(c)?;
        } else {
            write!(f, "{}", c.escape_default())?;
        }
    }
    if characters.next().is_some() {
        f.write_char('…')?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_all_scripts_and_their_marks_are_seen() {
        for c in "aZ09-_.:@/ ~\"'\\éüñßЖ中文日本한עא\u{301}\u{94d}👍€".chars() {
            assert!(is_visible(c), "{c:?}");
        }
    }

    #[test]
    fn what_deceives_is_not() {
        for c in [
            '\0',
            '\n',
            '\t',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{a0}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{e000}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{e0001}',
        ] {
            assert!(!is_visible(c), "{c:?}");
        }
    }

    #[test]
    fn a_long_or_strange_text_is_shown_escaped_and_cut() {
        let shown = |text: &str| {
            let mut out = alloc::string::String::new();
            write_shown(&mut out, text).unwrap();
            out
        };
        assert_eq!(shown("a\n\u{202e}b"), "a\\n\\u{202e}b");
        assert_eq!(shown(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(shown(&"é".repeat(201)), "é".repeat(200) + "…");
    }
}
