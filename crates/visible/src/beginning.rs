//! Texts that are cut because they are too long to be kept or shown.

use alloc::borrow::Cow;
use alloc::format;

/// Returns the beginning of a text: at most so many bytes, up to the end of a character.
pub fn beginning(text: &str, at_most: usize) -> &str {
    let (beginning, _) = text.split_at(text.floor_char_boundary(at_most));
    beginning
}

/// Returns a text, or, if it has more than so many bytes, its [`beginning`] and `…`.
pub fn shortened(text: &str, at_most: usize) -> Cow<'_, str> {
    match beginning(text, at_most) {
        beginning if beginning.len() < text.len() => Cow::Owned(format!("{beginning}…")),
        whole => Cow::Borrowed(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_two_characters() {
        assert_eq!(beginning("aé", 3), "aé");
        assert_eq!(beginning("aé", 2), "a");
        assert_eq!(beginning("é", 1), "");
        assert_eq!(beginning("", 0), "");
    }

    #[test]
    fn a_text_that_was_shortened_shows_it() {
        assert_eq!(shortened("aé", 3), "aé");
        assert_eq!(shortened("aéb", 2), "a…");
        assert_eq!(shortened("", 0), "");
    }
}
