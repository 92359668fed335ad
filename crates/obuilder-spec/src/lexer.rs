//! Cuts a text into parentheses and words, by the rules of the reference's S-expressions.

use bstr::BString;

use crate::syntax::SyntaxProblem;

/// A problem, and the offset of its byte.
pub(crate) type Located = (usize, SyntaxProblem);

/// A piece of the text.
pub(crate) struct Token {
    /// The offset of its first byte.
    pub(crate) start: usize,
    pub(crate) kind: TokenKind,
}

pub(crate) enum TokenKind {
    /// `(`
    Open,
    /// `)`
    Close,
    /// `#;`, which comments out the next item.
    CommentNext,
    /// A word, with its quotes and escapes resolved.
    Atom(BString),
}

/// Reads tokens one after the other.
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    /// The offset of the next byte.
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the next token, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Token>, Located> {
        self.skip_blanks()?;
        let start = self.at;
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        let kind = match first {
            b'(' => {
                self.at += 1;
                TokenKind::Open
            }
            b')' => {
                self.at += 1;
                TokenKind::Close
            }
            b'"' => {
                self.at += 1;
                TokenKind::Atom(self.string(start)?)
            }
            b'#' if self.rest().starts_with(b"#;") => {
                self.at += 2;
                TokenKind::CommentNext
            }
            b'|' if self.rest().starts_with(b"|#") => {
                return Err((start, SyntaxProblem::UnexpectedCommentEnd));
            }
            _ => TokenKind::Atom(self.bare_word()?),
        };
        Ok(Some(Token { start, kind }))
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn bump(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips white space and comments.
    fn skip_blanks(&mut self) -> Result<(), Located> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | 0x0c => self.at += 1,
                b'\r' if self.rest().starts_with(b"\r\n") => self.at += 2,
                b'\r' => return Err((self.at, SyntaxProblem::BareCarriageReturn)),
                b';' => self.skip_line_comment(),
                b'#' if self.rest().starts_with(b"#|") => self.skip_block_comment()?,
                _ => break,
            }
        }
        Ok(())
    }

    fn skip_line_comment(&mut self) {
        while self
            .peek()
            .is_some_and(|byte| !matches!(byte, b'\n' | b'\r'))
        {
            self.at += 1;
        }
    }

    /// Skips a comment, with the comments in it. A string in it is skipped whole: it may hold a `|#`.
    fn skip_block_comment(&mut self) -> Result<(), Located> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            let rest = self.rest();
            if rest.starts_with(b"#|") {
                self.at += 2;
                depth += 1;
            } else if rest.starts_with(b"|#") {
                self.at += 2;
                depth -= 1;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                let string_start = self.at;
                match self.bump() {
                    Some(b'"') => self.skip_string(string_start)?,
                    Some(_) => {}
                    None => return Err((start, SyntaxProblem::UnterminatedComment)),
                }
            }
        }
    }

    /// Skips a string in a comment, whose escapes may be invalid.
    fn skip_string(&mut self, start: usize) -> Result<(), Located> {
        loop {
            match self.bump() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.at += 1,
                Some(_) => {}
                None => return Err((start, SyntaxProblem::UnterminatedString)),
            }
        }
    }

    fn bare_word(&mut self) -> Result<BString, Located> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'(' | b')' | b'"' | b';' => break,
                b'#' | b'|' if matches!(self.rest(), [b'#', b'|', ..] | [b'|', b'#', ..]) => {
                    return Err((self.at, SyntaxProblem::CommentInAtom));
                }
                _ => self.at += 1,
            }
        }
        Ok(self.text.get(start..self.at).unwrap_or_default().into())
    }

    /// Reads a string whose first quote, at `start`, has been read.
    fn string(&mut self, start: usize) -> Result<BString, Located> {
        let mut word = BString::default();
        loop {
            match self.bump() {
                Some(b'"') => return Ok(word),
                Some(b'\\') => self.escape(&mut word, start)?,
                Some(byte) => word.push(byte),
                None => return Err((start, SyntaxProblem::UnterminatedString)),
            }
        }
    }

    /// Reads the rest of an escape, after the backslash.
    fn escape(&mut self, word: &mut BString, string_start: usize) -> Result<(), Located> {
        let backslash = self.at.saturating_sub(1);
        let Some(byte) = self.bump() else {
            return Err((string_start, SyntaxProblem::UnterminatedString));
        };
        match byte {
            b'n' => word.push(b'\n'),
            b't' => word.push(b'\t'),
            b'r' => word.push(b'\r'),
            b'b' => word.push(0x08),
            b'\\' | b'"' | b'\'' => word.push(byte),
            b'0'..=b'9' => {
                let digits = [Some(byte), self.bump(), self.bump()];
                let value = digits_value(&digits, 10)
                    .ok_or((backslash, SyntaxProblem::IncompleteDecimal))?;
                let byte = u8::try_from(value)
                    .map_err(|_| (backslash, SyntaxProblem::EscapeOutOfRange(value)))?;
                word.push(byte);
            }
            b'x' => {
                let digits = [self.bump(), self.bump()];
                let byte = digits_value(&digits, 16).and_then(|value| u8::try_from(value).ok());
                word.push(byte.ok_or((backslash, SyntaxProblem::IncompleteHexadecimal))?);
            }
            b'\n' => self.skip_indentation(),
            b'\r' if self.peek() == Some(b'\n') => {
                self.at += 1;
                self.skip_indentation();
            }
            // As the reference: a carriage return removes the backslash before it.
            b'\r' => word.push(b'\r'),
            // A Windows path such as C:\obuilder is read as it stands.
            other => word.extend([b'\\', other]),
        }
        Ok(())
    }

    /// Skips the blanks at the start of a line that continues a string.
    fn skip_indentation(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }
}

/// Returns the number of digits, unless one is invalid.
fn digits_value(digits: &[Option<u8>], radix: u32) -> Option<u16> {
    digits.iter().try_fold(0_u16, |value, digit| {
        let digit = char::from((*digit)?).to_digit(radix)?;
        let radix = u16::try_from(radix).ok()?;
        value
            .checked_mul(radix)?
            .checked_add(u16::try_from(digit).ok()?)
    })
}
