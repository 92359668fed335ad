//! Texts in quotation marks, exactly as upstream's programs print them, because scripts read `Result: "…"`.

pub use visible::printable;

/// Returns `bytes` between quotation marks, with everything but printable ASCII escaped (`\n`, `\"`, `\226`).
pub fn quoted(bytes: impl AsRef<[u8]>) -> String {
    let mut text = String::from("\"");
    for &byte in bytes.as_ref() {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\r' => text.push_str("\\r"),
            8 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn only_printable_ascii_stays_as_it_is() {
        expect![[r#""org/a@sha256:ab12""#]].assert_eq(&quoted("org/a@sha256:ab12"));
        expect![[r#""a\"b\\c\n\t\r\b\000\127 caf\195\169""#]]
            .assert_eq(&quoted("a\"b\\c\n\t\r\u{8}\0\u{7f} café"));
    }
}
