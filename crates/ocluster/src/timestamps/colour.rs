//! The colour that a log has left on at the end of a line.

/// How many sequences since the last reset are repeated. A log that has more of them gets the latest back.
const MAX_SEQUENCES: usize = 32;

/// The longest sequence that sets a colour, as on a terminal.
const MAX_BYTES: usize = 40;

/// The sequences of a log that set colours and were not reset.
#[derive(Debug, Default)]
pub(super) struct Colour {
    set: Vec<Vec<u8>>,
    /// The beginning of a sequence that the next piece may complete.
    held: Vec<u8>,
}

impl Colour {
    /// Adds text that does not have the colour of the log.
    pub(super) fn without(&self, out: &mut Vec<u8>, text: &[u8]) {
        if !self.set.is_empty() {
            out.extend(b"\x1b[0m");
        }
        out.extend(text);
        out.extend(self.set.iter().flatten());
    }

    /// Reads a piece of the log.
    pub(super) fn read(&mut self, piece: &[u8]) {
        if self.held.is_empty() && !piece.contains(&b'\x1b') {
            return;
        }
        for byte in piece {
            match (self.held.len(), byte) {
                (_, b'\x1b') => self.held = vec![*byte],
                (0, _) => {}
                (1, b'[') | (2..MAX_BYTES, b'0'..=b'9' | b';' | b':') => self.held.push(*byte),
                (2.., b'm') => {
                    self.held.push(*byte);
                    let sequence = std::mem::take(&mut self.held);
                    self.apply(sequence);
                }
                _ => self.held.clear(),
            }
        }
    }

    fn apply(&mut self, sequence: Vec<u8>) {
        let parameters = sequence.get(2..sequence.len() - 1).unwrap_or_default();
        let is_zero = |parameter: &[u8]| parameter.iter().all(|digit| *digit == b'0');
        let mut parameters = parameters.split(|byte| *byte == b';');
        // No parameter is 0, too, which resets all. Others may follow it.
        if parameters.next().is_some_and(is_zero) {
            self.set.clear();
            if parameters.all(is_zero) {
                return;
            }
        }
        if self.set.len() == MAX_SEQUENCES {
            self.set.remove(0);
        }
        self.set.push(sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a time as it is shown after a log.
    fn after(log: &[u8]) -> String {
        let mut colour = Colour::default();
        log.chunks(3).for_each(|piece| colour.read(piece));
        let mut out = Vec::new();
        colour.without(&mut out, b"time ");
        String::from_utf8(out).unwrap().replace('\u{1b}', "^")
    }

    #[test]
    fn what_is_on_is_off_for_a_time_and_on_again() {
        for (log, shown) in [
            (&b"plain\n"[..], "time "),
            (b"\x1b[1;31mred\n", "^[0mtime ^[1;31m"),
            (b"\x1b[1m\x1b[31mred\n", "^[0mtime ^[1m^[31m"),
            (b"\x1b[31mred\x1b[m\n", "time "),
            (b"\x1b[31mred\x1b[00;0m\n", "time "),
            (b"\x1b[31mred\x1b[0;4mlink\n", "^[0mtime ^[0;4m"),
            (b"\x1b[31\x1b[2Kred\x1b[5\n", "time "),
        ] {
            assert_eq!(after(log), shown, "{log:?}");
        }
        let many = b"\x1b[1m".repeat(100);
        assert_eq!(after(&many).len(), "^[0mtime ".len() + 32 * 4);
        let long = [b"\x1b[".to_vec(), b"1".repeat(100), b"m".to_vec()].concat();
        assert_eq!(after(&long), "time ");
    }
}
