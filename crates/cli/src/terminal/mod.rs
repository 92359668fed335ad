//! Text from outside, made safe for a terminal.
//!
//! Names, exceptions and logs come from other machines and from builds. A terminal obeys what it is sent: escape
//! sequences move its cursor, change its title or answer in the user's name. So all text for people goes through
//! [`plain`], and the log of a build through [`LogOutput`], which filters it on a terminal. Elsewhere its bytes are the
//! user's, and only its colours are removed, if colours are disabled.

mod log_output;
mod plain_log;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::os::fd::AsFd;

use visible::{Lines, is_text, is_visible};

pub use self::log_output::LogOutput;
pub use self::plain_log::PlainLog;

const ESCAPE: u8 = 0x1b;

/// The longest escape sequence that is passed on: a colour with all its parts is half as long.
const SEQUENCE_BYTES: usize = 40;

/// The assumed width of a terminal that does not report it.
const DEFAULT_COLUMNS: usize = 80;

/// Returns how many columns a terminal has.
pub(crate) fn columns(terminal: impl AsFd) -> usize {
    rustix::termios::tcgetwinsize(terminal)
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|&columns| columns > 0)
        .unwrap_or(DEFAULT_COLUMNS)
}

/// Returns `text` without anything that a terminal would obey, or that a reader would not see as what it is: only ends
/// of lines and tabs are left, other such characters are escaped.
pub fn plain(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '\n' | '\t') || is_visible(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(Lines(text).to_string())
}

/// Returns the same JSON, in which what cannot be seen is written as `\u202e`.
///
/// The escapes mean the same to programs. Such characters can only be in strings.
pub fn plain_json(json: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c == '\n' || is_visible(c);
    if json.chars().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut plain = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_plain(c) {
            plain.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            write!(plain, "\\u{unit:04x}").ok();
        }
    }
    Cow::Owned(plain)
}

/// Makes a build's log fit for a terminal, piece by piece.
///
/// Kept are text, colours, and what progress bars do on their own line (`\r`, and erasing the line). All else is shown
/// instead of obeyed: other control characters as their pictures (`␛`, `␇`), what changes the order of characters
/// escaped, and what is no UTF-8 as U+FFFD. So nothing that was printed before can be changed by what comes later.
#[derive(Debug)]
pub(crate) struct LogFilter {
    /// The beginning of a character or sequence that the next piece may complete.
    held: Vec<u8>,
    is_coloured: bool,
    at_line_start: bool,
}

impl Default for LogFilter {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            is_coloured: false,
            at_line_start: true,
        }
    }
}

/// What follows an escape character.
enum Sequence {
    /// A sequence of so many bytes that may be passed on.
    Harmless(usize),
    /// What may become one with more bytes.
    Unfinished,
    Other,
}

impl LogFilter {
    /// Returns what is to be printed of the next piece of the log.
    pub(crate) fn push(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(piece);
        let mut out = String::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let plain = rest.iter().position(|&byte| byte == ESCAPE);
            let (plain, after) = rest.split_at(plain.unwrap_or(rest.len()));
            let is_last = after.is_empty();
            self.push_plain(&mut out, plain, is_last);
            rest = self.push_sequence(&mut out, after);
        }
        if let Some(last) = out.chars().next_back() {
            self.at_line_start = last == '\n';
        }
        out
    }

    /// Returns what is to be printed at the end of the log: what is left of it, the terminal's own colour, and the end
    /// of the line, so that what follows is seen to be ours.
    pub(crate) fn finish(&mut self) -> String {
        let mut out = String::new();
        for chunk in std::mem::take(&mut self.held).utf8_chunks() {
            chunk.valid().chars().for_each(|c| push_char(&mut out, c));
            if !chunk.invalid().is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        let is_at_start = self.at_line_start && out.is_empty();
        if std::mem::take(&mut self.is_coloured) {
            out.push_str("\x1b[0m");
        }
        if !is_at_start {
            out.push('\n');
        }
        self.at_line_start = true;
        out
    }

    /// Writes bytes without escape characters. If they are the last of a piece, an unfinished character is held.
    fn push_plain(&mut self, out: &mut String, bytes: &[u8], is_last: bool) {
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|c| push_char(out, c));
            let invalid = chunk.invalid();
            let is_unfinished =
                || std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if invalid.is_empty() {
                continue;
            }
            if is_last && chunks.peek().is_none() && is_unfinished() {
                self.held = invalid.to_vec();
            } else {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// Writes what begins with an escape character, and returns what follows it.
    fn push_sequence<'a>(&mut self, out: &mut String, bytes: &'a [u8]) -> &'a [u8] {
        if bytes.is_empty() {
            return bytes;
        }
        match sequence(bytes) {
            Sequence::Harmless(length) => {
                let (sequence, rest) = bytes.split_at(length);
                out.push_str(&String::from_utf8_lossy(sequence));
                self.is_coloured |= sequence.ends_with(b"m");
                rest
            }
            Sequence::Unfinished => {
                self.held = bytes.to_vec();
                &[]
            }
            Sequence::Other => {
                push_char(out, char::from(ESCAPE));
                bytes.get(1..).unwrap_or_default()
            }
        }
    }
}

/// Returns what begins at an escape character: a colour (`ESC [ … m`), erasing in the line (`ESC [ … K`), or something
/// else.
fn sequence(bytes: &[u8]) -> Sequence {
    match bytes.get(1) {
        None => return Sequence::Unfinished,
        Some(b'[') => {}
        Some(_) => return Sequence::Other,
    }
    let parameters = bytes.iter().skip(2);
    let is_parameter = |byte: &&u8| matches!(**byte, b'0'..=b'9' | b';' | b':');
    let length = 2 + parameters.take_while(is_parameter).count();
    match bytes.get(length) {
        _ if length >= SEQUENCE_BYTES => Sequence::Other,
        None => Sequence::Unfinished,
        Some(b'm' | b'K') => Sequence::Harmless(length + 1),
        Some(_) => Sequence::Other,
    }
}

fn push_char(out: &mut String, c: char) {
    match c {
        '\n' | '\r' | '\t' => out.push(c),
        '\0'..='\u{1f}' => out.extend(char::from_u32(0x2400 + u32::from(c))),
        '\u{7f}' => out.push('\u{2421}'),
        c if is_text(c) => out.push(c),
        c => out.extend(c.escape_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what becomes of a log, in one piece and in all ways to make two pieces and single bytes of it.
    #[track_caller]
    fn filtered(log: &[u8]) -> String {
        let all = |pieces: &[&[u8]]| {
            let mut filter = LogFilter::default();
            let mut out: String = pieces.iter().map(|piece| filter.push(piece)).collect();
            out += &filter.finish();
            out
        };
        let whole = all(&[log]);
        let bytes: Vec<&[u8]> = log.chunks(1).collect();
        assert_eq!(all(&bytes), whole);
        for at in 0..log.len() {
            let (first, second) = log.split_at(at);
            assert_eq!(all(&[first, second]), whole);
        }
        whole
    }

    #[test]
    fn ordinary_logs_are_not_changed() {
        for log in [
            "",
            "a\n",
            "Step 1/2: FROM café ✔\u{fe0f} 👨\u{200d}👩 \u{e0b0}\n\tindented\r\n",
            "\x1b[1;31merror\x1b[0m: no\n\x1b[38;2;10;20;30mtrue\x1b[m colour\x1b[0m\n",
            " 10 %\r 20 %\r\x1b[K\x1b[2Kdone\n",
        ] {
            let reset = if log.contains("\x1b[1") {
                "\x1b[0m"
            } else {
                ""
            };
            assert_eq!(filtered(log.as_bytes()), format!("{log}{reset}"));
        }
    }

    #[test]
    fn a_log_does_not_control_the_terminal() {
        for (log, shown) in [
            (&b"\x1b]0;title\x07x\n"[..], "␛]0;title␇x\n"),
            (b"\x1b[2J\x1b[1;1Hx\n", "␛[2J␛[1;1Hx\n"),
            (b"\x1bPq\x1b\\\x1bc\n", "␛Pq␛\\␛c\n"),
            (b"\x1b[?1049h\x1b[>c\x1b[6n\n", "␛[?1049h␛[>c␛[6n\n"),
            (b"a\x08b\x0bc\x0cd\0e\x7f\n", "a␈b␋c␌d␀e␡\n"),
            (
                "\u{9b}2J \u{202e}evil \u{2028}\n".as_bytes(),
                "\\u{9b}2J \\u{202e}evil \\u{2028}\n",
            ),
            (b"\x9b2J\xff\n", "\u{fffd}2J\u{fffd}\n"),
            (
                b"\x1b[1234567890123456789012345678901234567890m\n",
                "␛[1234567890123456789012345678901234567890m\n",
            ),
        ] {
            assert_eq!(filtered(log), shown);
        }
    }

    #[test]
    fn the_end_is_on_a_line_of_its_own_in_the_usual_colour() {
        assert_eq!(filtered(b"Result: \"x\""), "Result: \"x\"\n");
        assert_eq!(filtered(b"\x1b[8mhidden\n"), "\x1b[8mhidden\n\x1b[0m");
        assert_eq!(filtered(b"x\x1b["), "x␛[\n");
        assert_eq!(filtered(b"x\xf0\x9f"), "x\u{fffd}\n");
    }

    #[test]
    fn text_for_people_is_plain() {
        assert!(matches!(plain("w1: é\n\tok\n"), Cow::Borrowed(_)));
        assert_eq!(plain("a\x1b[2J\r\u{202e}\n"), "a\\u{1b}[2J\\r\\u{202e}\n");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let text = "a\u{202e}b\u{9b}\u{7f}é\n\u{e0001}";
        let json = serde_json::to_string(text).unwrap();
        let plain = plain_json(&json);
        assert_eq!(plain, r#""a\u202eb\u009b\u007fé\n\udb40\udc01""#);
        assert_eq!(serde_json::from_str::<String>(&plain).unwrap(), text);
    }
}
