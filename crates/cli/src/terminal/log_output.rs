//! A build's log on its way to its reader.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Read, Write};

use super::LogFilter;
use super::plain_log::PlainLog;
use crate::appearance;

/// Filters a log for its destination, piece by piece.
///
/// On a terminal, all control sequences but harmless ones such as colours are escaped. Colours and all other sequences
/// are removed everywhere if colours are disabled. Otherwise the bytes are unchanged.
#[derive(Debug)]
pub struct LogOutput {
    plain: Option<PlainLog>,
    filter: Option<LogFilter>,
}

impl LogOutput {
    /// Returns the filter for a log that goes to standard output.
    pub fn to_stdout() -> Self {
        Self {
            filter: io::stdout().is_terminal().then(LogFilter::default),
            ..Self::to_json()
        }
    }

    /// Returns the filter for a log that goes into JSON.
    pub fn to_json() -> Self {
        Self {
            plain: appearance::is_colour_disabled().then(PlainLog::default),
            filter: None,
        }
    }

    /// Returns whether it goes to a terminal.
    pub fn is_terminal(&self) -> bool {
        self.filter.is_some()
    }

    /// Returns the output for the next piece.
    pub fn push<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, [u8]> {
        let plain = match &mut self.plain {
            Some(plain) => Cow::Owned(plain.push(piece)),
            None => Cow::Borrowed(piece),
        };
        match &mut self.filter {
            Some(filter) => Cow::Owned(filter.push(&plain).into_bytes()),
            None => plain,
        }
    }

    /// Returns the output for the end of the log, which sets our own text apart from it.
    pub fn finish(&mut self) -> String {
        self.filter
            .as_mut()
            .map(LogFilter::finish)
            .unwrap_or_default()
    }

    /// Copies a whole log.
    ///
    /// # Errors
    /// If the log cannot be read, or `out` cannot be written.
    pub fn copy(mut self, log: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
        let mut piece = vec![0; 64 << 10];
        loop {
            let length = log.read(&mut piece)?;
            if length == 0 {
                return out.write_all(self.finish().as_bytes());
            }
            out.write_all(&self.push(piece.get(..length).unwrap_or_default()))?;
        }
    }
}
