//! Standard output and standard error.

use std::io::Write as _;

use crate::error::CommandError;
use crate::terminal;

/// Writes `text` on standard output, made fit for a terminal: a part of it may come from another machine.
pub fn print(text: &str) -> Result<(), CommandError> {
    print_bytes(terminal::plain(text).as_bytes())
}

/// Writes `bytes` on standard output, as they are.
pub fn print_bytes(bytes: &[u8]) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| CommandError::from_output(&error))
}

/// Writes one line on standard output.
pub fn print_line(line: impl std::fmt::Display) -> Result<(), CommandError> {
    print(&format!("{line}\n"))
}

/// Writes `text` on standard error, made fit for a terminal. There is nobody left to tell when that fails.
pub fn complain(text: &str) {
    steer(&terminal::plain(text));
}

/// Writes on standard error what is meant to steer the terminal. Nothing of it may come from elsewhere unchecked.
pub fn steer(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
