//! Finds bytes in texts.

/// How many bytes are looked at together, which takes hardly longer than one.
const TOGETHER: usize = 16;

/// Returns the place of the first byte of a text that is such a one.
pub(crate) fn position(text: &str, is_such: impl Fn(u8) -> bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let (groups, _) = bytes.as_chunks::<TOGETHER>();
    let has_none = |group: &&[u8; TOGETHER]| {
        // Without a break, so that the processor does it at once.
        !group.iter().fold(false, |any, byte| any | is_such(*byte))
    };
    let passed = groups.iter().take_while(has_none).count() * TOGETHER;
    let rest = bytes.get(passed..)?;
    let found = rest.iter().position(|byte| is_such(*byte))?;
    Some(passed + found)
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn the_first_such_byte_is_found_wherever_it_is() {
        for length in 0..50 {
            let text = "a".repeat(length);
            assert_eq!(position(&text, |byte| byte == b'x'), None);
            let found = position(&format!("{text}xax"), |byte| byte == b'x');
            assert_eq!(found, Some(length));
        }
    }
}
