//! How atoms are written: bare where that can be read back, in double quotes otherwise.

use bstr::{BString, ByteSlice as _};

/// Returns whether an atom has to be in quotes.
pub(crate) fn needs_quotes(atom: &[u8]) -> bool {
    let special = |byte: u8| !byte.is_ascii_graphic() || b"\"();\\".contains(&byte);
    atom.is_empty()
        || atom.iter().copied().any(special)
        || atom.contains_str("#|")
        || atom.contains_str("|#")
}

/// Returns an atom on one line, in quotes if need be.
pub(crate) fn atom(atom: &[u8]) -> BString {
    if needs_quotes(atom) {
        quoted(atom)
    } else {
        atom.into()
    }
}

/// Returns an atom on one line, in quotes.
pub fn quoted(atom: &[u8]) -> BString {
    let mut text = BString::from("\"");
    escape_into(&mut text, atom);
    text.push(b'"');
    text
}

/// Appends what stands between the quotes. The result is ASCII, and has no newline.
pub(crate) fn escape_into(text: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            b'\t' => text.extend(b"\\t"),
            b'\r' => text.extend(b"\\r"),
            0x08 => text.extend(b"\\b"),
            b' '..=b'~' => text.push(byte),
            _ => text.extend(format!("\\{byte:03}").bytes()),
        }
    }
}
