//! Shortens long words for messages, so that a generated script does not fill the logs of the build and the scheduler.

use bstr::{BStr, BString, ByteVec as _};

/// The longest word that is shown whole, in bytes: longer than scripts that are written by hand.
const WHOLE: usize = 4096;
/// Length of the beginning and of the end that are shown of a longer one, in bytes.
const SHOWN: usize = 1024;

/// Returns a word, without its middle if it is long.
pub(crate) fn excerpt(word: &BStr) -> BString {
    if word.len() <= WHOLE {
        return word.to_owned();
    }
    let mut start = SHOWN;
    // Not in the middle of a character.
    while start > SHOWN - 4 && is_inside(word.get(start)) {
        start -= 1;
    }
    let mut end = word.len() - SHOWN;
    while end < word.len() - SHOWN + 4 && is_inside(word.get(end)) {
        end += 1;
    }
    let mut shown = BString::from(word.get(..start).unwrap_or_default());
    shown.push_str(format!(" [… {} bytes …] ", end - start));
    shown.push_str(word.get(end..).unwrap_or_default());
    shown
}

fn is_inside(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte & 0xc0 == 0x80)
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice as _;

    use super::*;

    #[test]
    fn a_long_word_loses_its_middle() {
        let short = "é".repeat(2048);
        assert_eq!(excerpt(short.as_bytes().as_bstr()), short);
        let long = format!("a{}z", "é".repeat(100_000));
        let shown = excerpt(long.as_bytes().as_bstr());
        let shown = shown.to_str().unwrap();
        assert!(shown.len() < 2200 && shown.starts_with("aé") && shown.ends_with("éz"));
        assert!(
            shown.contains("é [… 197956 bytes …] é") || shown.contains(" bytes …] é"),
            "{shown}"
        );
        // Whatever the bytes are.
        excerpt(vec![0x80; 9000].as_bstr());
    }
}
