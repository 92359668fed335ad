//! The text of a log that comes in pieces.

/// Turns the pieces of a log into text. A character whose bytes are in two pieces comes with the second.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    pub(crate) fn text(&mut self, bytes: &[u8]) -> String {
        let mut whole = std::mem::take(&mut self.rest);
        whole.extend_from_slice(bytes);
        let end = whole
            .utf8_chunks()
            .last()
            .map_or(&[][..], |chunk| chunk.invalid());
        let unfinished = std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none());
        if unfinished {
            self.rest = whole.split_off(whole.len().saturating_sub(end.len()));
        }
        String::from_utf8_lossy(&whole).into_owned()
    }

    pub(crate) fn finish(self) -> String {
        String::from_utf8_lossy(&self.rest).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_two_pieces_stays_whole() {
        let mut decoder = Decoder::default();
        let bytes = "caf\u{e9} \u{1f600}\n".as_bytes();
        let mut text = String::new();
        for byte in bytes {
            text.push_str(&decoder.text(&[*byte]));
        }
        assert_eq!(text, "caf\u{e9} \u{1f600}\n");
        // What is no UTF-8 does not wait for more.
        assert_eq!(decoder.text(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(decoder.text(b"end\xf0\x9f"), "end");
        assert_eq!(decoder.finish(), "\u{fffd}");
    }
}
