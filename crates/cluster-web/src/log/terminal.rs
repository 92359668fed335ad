//! Reads a log in pieces.

use super::escapes::{self, Action, Escapes};
use super::line::Line;
use super::screen::Screen;

/// How many bytes are skipped at most to find the beginning of a line.
const MAX_SKIPPED: u64 = 64 * 1024;

/// Where in a log to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The offset of the first byte.
    pub offset: u64,
    /// The number of the line that this byte is in, from 1; `None` if it is not known.
    pub line: Option<u64>,
    /// Whether a line begins there. If not, what is left of the line is skipped.
    pub is_line: bool,
}

impl Start {
    /// The beginning of a log.
    pub const BEGINNING: Self = Self {
        offset: 0,
        line: Some(1),
        is_line: true,
    };
}

/// Turns the bytes of a log into the lines that a terminal would show.
///
/// A line that is written over keeps the number and the offset of its first version.
#[derive(Debug)]
pub struct Terminal {
    escapes: Escapes,
    screen: Screen,
    /// The beginning of a character whose other bytes are in the next piece.
    unfinished: Vec<u8>,
    offset: u64,
    /// The number of the line that the next byte is in.
    line: Option<u64>,
    /// Until which offset bytes are skipped that are not the beginning of a line.
    skip_until: Option<u64>,
}

impl Terminal {
    /// Begins to read a log.
    pub fn new(start: Start) -> Self {
        let Start {
            offset,
            line,
            is_line,
        } = start;
        let skips = !is_line && offset > 0;
        Self {
            escapes: Escapes::default(),
            screen: Screen::new(line, offset),
            unfinished: Vec::new(),
            offset,
            line,
            skip_until: skips.then(|| offset.saturating_add(MAX_SKIPPED)),
        }
    }

    /// Reads the next piece of the log.
    pub fn read(&mut self, bytes: &[u8]) {
        let bytes = self.skip(bytes);
        if self.unfinished.is_empty()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            // Most pieces are, and this is faster.
            return self.read_text(text);
        }
        let mut whole = std::mem::take(&mut self.unfinished);
        whole.extend_from_slice(bytes);
        for chunk in whole.utf8_chunks() {
            self.read_text(chunk.valid());
            let invalid = chunk.invalid();
            let is_unfinished = !invalid.is_empty()
                && std::ptr::eq(invalid.as_ptr_range().end, whole.as_ptr_range().end)
                && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if is_unfinished {
                self.unfinished = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.offset += invalid.len() as u64;
                self.perform(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// Returns the lines that have changed since the last call, in their order: new ones, and others again. A line is
    /// identified by its offset.
    ///
    /// Call it after each piece: until then all lines are kept.
    pub fn take_changed(&mut self) -> Vec<Line> {
        self.screen.take_changed()
    }

    /// Returns where to begin so that all lines that may still change are read again.
    pub fn resume(&self) -> Start {
        if self.skip_until.is_some() {
            return Start {
                offset: self.offset,
                line: self.line,
                is_line: false,
            };
        }
        let (line, offset) = self.screen.first();
        Start {
            offset,
            line,
            is_line: true,
        }
    }

    /// Returns the offset of the next byte to read.
    pub fn offset(&self) -> u64 {
        self.offset + self.unfinished.len() as u64
    }

    /// Returns whether the log ends with the end of a line, so that its last line is empty.
    pub fn ends_with_empty_line(&self) -> bool {
        self.screen.ends_with_empty_line()
    }

    /// Returns what is left of a piece from the first beginning of a line.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(until) = self.skip_until else {
            return bytes;
        };
        let longest = usize::try_from(until.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let (searched, _) = bytes.split_at(bytes.len().min(longest));
        let end = searched.iter().position(|byte| *byte == b'\n');
        let skipped = end.map_or(searched.len(), |end| end + 1);
        let (_, rest) = bytes.split_at(skipped);
        self.offset += skipped as u64;
        if end.is_some() {
            self.line = self.line.map(|line| line.saturating_add(1));
        }
        if end.is_some() || skipped == longest {
            self.skip_until = None;
            self.screen = Screen::new(self.line, self.offset);
        }
        rest
    }

    /// Reads characters: those that are only shown all at once, as most are.
    fn read_text(&mut self, mut text: &str) {
        while !text.is_empty() {
            if self.escapes.is_in_text() {
                let (shown, rest) = escapes::split_text(text);
                if !shown.is_empty() {
                    self.offset += shown.len() as u64;
                    self.screen.print_text(shown);
                    text = rest;
                    continue;
                }
                if let Some(rest) = text.strip_prefix('\n') {
                    self.offset += 1;
                    self.new_line();
                    text = rest;
                    continue;
                }
                if let Some((parameters, last, rest)) = escapes::split_control(text) {
                    self.offset += (text.len() - rest.len()) as u64;
                    self.screen.control(parameters, last);
                    text = rest;
                    continue;
                }
            }
            let mut characters = text.chars();
            if let Some(c) = characters.next() {
                self.offset += c.len_utf8() as u64;
                self.perform(c);
            }
            text = characters.as_str();
        }
    }

    fn new_line(&mut self) {
        self.line = self.line.map(|line| line.saturating_add(1));
        self.screen.new_line(self.line, self.offset);
    }

    fn perform(&mut self, c: char) {
        match self.escapes.read(c) {
            Action::Nothing => {}
            Action::Print(c) => self.screen.print(c),
            Action::NewLine => self.new_line(),
            Action::Return => self.screen.go_to_column(0),
            Action::Back => self.screen.back(),
            Action::Up => self.screen.go_up(1),
            Action::Control(parameters, last) => self.screen.control(&parameters, last),
            Action::Link(url) => self.screen.set_link(&url),
        }
    }
}
