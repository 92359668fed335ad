//! A log without anything that only a terminal understands.

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// Removes colours and all other escape sequences from a log, piece by piece, and ends each line with a newline:
/// `\r\r\n` of Docker's, and the `\r` and `\r ESC [ K` of progress bars.
///
/// Everything else stays as it is, byte by byte. What does not end as a sequence should hides at most the rest of its
/// line.
#[derive(Debug, Default)]
pub struct PlainLog {
    state: State,
    /// Whether there was a carriage return, of which it is not known yet whether a newline follows.
    returned: bool,
    /// Whether there is something on the line.
    in_line: bool,
}

/// Where in a sequence we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After an escape character, and what may follow it (`ESC ( B`).
    Escape,
    /// In `ESC [ …`, which ends with a letter.
    Control,
    /// In `ESC ] …` or its like, which ends with BEL or `ESC \`.
    String,
    /// In the latter, after its escape character.
    StringEscape,
}

impl PlainLog {
    /// Returns what is left of the next piece.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(piece.len());
        for &byte in piece {
            self.push_byte(&mut out, byte);
        }
        out
    }

    fn push_byte(&mut self, out: &mut Vec<u8>, byte: u8) {
        self.state = match (self.state, byte) {
            // No sequence goes on in the next line.
            (_, b'\n') => {
                self.print(out, byte);
                State::Text
            }
            (State::Text | State::Escape | State::Control, ESCAPE) => State::Escape,
            (State::Text, b'\r') => {
                self.returned = true;
                State::Text
            }
            (State::Text, _) => {
                self.print(out, byte);
                State::Text
            }
            (State::Escape, b'[') => State::Control,
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::String,
            (State::Escape, b' '..=b'/') => State::Escape,
            (State::Escape, b'0'..=b'~') => State::Text,
            (State::Control, b' '..=b'?') => State::Control,
            (State::Control, b'@'..=b'~') => State::Text,
            // It was no sequence.
            (State::Escape | State::Control, _) => {
                self.print(out, byte);
                State::Text
            }
            (State::String, BELL) => State::Text,
            (State::String | State::StringEscape, ESCAPE) => State::StringEscape,
            (State::StringEscape, b'\\') => State::Text,
            (State::String | State::StringEscape, _) => State::String,
        };
    }

    fn print(&mut self, out: &mut Vec<u8>, byte: u8) {
        if std::mem::take(&mut self.returned) && self.in_line && byte != b'\n' {
            out.push(b'\n');
        }
        self.in_line = byte != b'\n';
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice as _;

    use super::*;

    #[track_caller]
    fn check(log: &[u8], expected: &[u8]) {
        let mut whole = PlainLog::default();
        assert_eq!(whole.push(log).as_bstr(), expected.as_bstr());
        let mut bytes = PlainLog::default();
        let plain: Vec<u8> = log.chunks(1).flat_map(|byte| bytes.push(byte)).collect();
        assert_eq!(plain.as_bstr(), expected.as_bstr());
    }

    #[test]
    fn text_stays_as_it_is() {
        let log = "Building on w1\n\tcafé ✔ \u{0}\u{8}\n\n".as_bytes();
        check(log, log);
        check(b"\xff\xf0\x9f\n", b"\xff\xf0\x9f\n");
    }

    #[test]
    fn colours_go_and_lines_end_with_newlines() {
        for (log, plain) in [
            ("\n\x1b[01;34m(from busybox)\x1b[0m\n", "\n(from busybox)\n"),
            (
                "Sending build context  2.0kB\r\r\nStep 1\r\n",
                "Sending build context  2.0kB\nStep 1\n",
            ),
            (
                "\r\x1b[K10 %\r\x1b[K20 %\r\x1b[K\ndone\n",
                "10 %\n20 %\ndone\n",
            ),
            (" 10 %\r 20 %\r 30 %\r", " 10 %\n 20 %\n 30 %"),
            (
                "\x1b(B\x1b[m\x1b]0;title\x07x\x1b]8;;http://h\x1b\\link\x1b]8;;\x1b\\\n",
                "xlink\n",
            ),
            ("\x1b[?25l\x1b[2Kx\x1b[1;1H\x1b7\n", "x\n"),
            ("a\x1b]no end\nb\x1b[1\nc\x1b\n", "a\nb\nc\n"),
        ] {
            check(log.as_bytes(), plain.as_bytes());
        }
    }
}
