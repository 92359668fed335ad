//! Standard output and standard error.

use std::io::{IsTerminal as _, Write as _};

use crate::error::CommandError;
use crate::terminal;

/// Writes `text` on standard output, escaped for a terminal: a part of it may come from another machine.
///
/// # Errors
/// If standard output cannot be written.
pub fn print(text: &str) -> Result<(), CommandError> {
    print_bytes(terminal::plain(text).as_bytes())
}

/// Writes `bytes` on standard output, as they are.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_bytes(bytes: &[u8]) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| CommandError::from_output(&error))
}

/// Writes one line on standard output.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_line(line: impl std::fmt::Display) -> Result<(), CommandError> {
    print(&format!("{line}\n"))
}

/// Returns how many columns the terminal has that standard output goes to; `None` if it goes elsewhere.
pub fn stdout_columns() -> Option<usize> {
    let stdout = std::io::stdout();
    stdout.is_terminal().then(|| terminal::columns(stdout))
}

/// Writes `text` on standard error, escaped for a terminal. A failure is ignored, as it could not be reported.
pub fn print_error(text: &str) {
    write_control(&terminal::plain(text));
}

/// Writes control sequences for the terminal on standard error. They must contain no unchecked text from outside.
pub(crate) fn write_control(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
