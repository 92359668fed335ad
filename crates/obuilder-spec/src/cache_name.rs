//! Names of caches as names of files.

use bstr::BStr;

/// Returns the name of the directory for the cache `name`: safe on any filesystem, and different for different caches.
///
/// What is not a letter, digit, dot, underscore or hyphen of ASCII becomes `%` and two hexadecimal digits. The
/// reference leaves out a leading zero, so that a newline before a `b` gets the same name as the byte `0xab`, and two
/// specs can see each other's files. With both digits every name is unique. Names without bytes below 16 are the same
/// as in the reference's stores.
pub fn escape_cache_name(name: &BStr) -> String {
    // With a prefix, no name becomes `.` or `..`.
    let mut escaped = String::from("c-");
    for &byte in name.iter() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02x}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use bstr::BStr;
    use proptest::prelude::*;

    use super::escape_cache_name;

    #[test]
    fn names_of_caches() {
        for (name, escaped) in [
            ("ok", "c-ok"),
            ("", "c-"),
            ("123", "c-123"),
            ("a1", "c-a1"),
            ("a/1", "c-a%2f1"),
            ("..", "c-.."),
            ("%20", "c-%2520"),
            ("foo:bar", "c-foo%3abar"),
            ("Az09-id.foo_orig", "c-Az09-id.foo_orig"),
            ("\nb", "c-%0ab"),
            ("é", "c-%c3%a9"),
        ] {
            assert_eq!(escape_cache_name(BStr::new(name)), escaped);
        }
        assert_eq!(escape_cache_name(BStr::new(b"\xab")), "c-%ab");
    }

    /// Undoes the escape, which can be done only if no two names meet.
    fn unescape(escaped: &str) -> Option<Vec<u8>> {
        let mut rest = escaped.strip_prefix("c-")?;
        let mut name = Vec::new();
        while let Some(c) = rest.chars().next() {
            rest = &rest[1..];
            if c == '%' {
                name.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                rest = &rest[2..];
            } else {
                name.push(u8::try_from(c).ok()?);
            }
        }
        Some(name)
    }

    proptest! {
        #[test]
        fn another_name_is_another_directory(name: Vec<u8>) {
            prop_assert_eq!(unescape(&escape_cache_name(BStr::new(&name))), Some(name));
        }
    }
}
