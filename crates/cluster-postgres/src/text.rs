//! Texts as PostgreSQL can hold them.
//!
//! It has no text with a NUL character, but outputs of jobs, hints and labels may have one. NUL is written as an escape
//! character and "0", and the escape character twice. It is the last of Unicode, which no text should have; one that
//! has it is read back as it was, too. Texts that are equal stay equal, and others stay different.

use std::borrow::Cow;

const ESCAPE: char = '\u{10ffff}';

/// Returns a text as a column holds it.
pub fn encode(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => encoded.extend([ESCAPE, '0']),
            ESCAPE => encoded.extend([ESCAPE, ESCAPE]),
            other => encoded.push(other),
        }
    }
    Cow::Owned(encoded)
}

/// Returns the text that a column holds.
pub fn decode(column: String) -> String {
    if !column.contains(ESCAPE) {
        return column;
    }
    let mut text = String::with_capacity(column.len());
    let mut characters = column.chars();
    while let Some(character) = characters.next() {
        match character {
            ESCAPE => match characters.next() {
                Some('0') => text.push('\0'),
                Some(other) => text.push(other),
                None => text.push(ESCAPE),
            },
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_read_as_it_was_written() {
        for text in [
            "",
            "plain",
            "\0",
            "a\0b\0",
            "\u{10ffff}",
            "\u{10ffff}0",
            "0\0\u{10ffff}\0",
        ] {
            let encoded = encode(text);
            assert!(!encoded.contains('\0'));
            assert_eq!(decode(encoded.into_owned()), text);
        }
    }
}
