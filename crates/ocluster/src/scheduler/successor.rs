//! A scheduler that does not lead any more starts its program again, in the same process: connections are closed, and
//! everything in memory is gone, as surely as after a crash. All that counts is in the database and in the state
//! directory.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The program as the system knows it, also after its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Set for a program that was started by itself.
const VARIABLE: &str = "OCLUSTER_HAS_LED";

/// Tells whether this program was started by itself, after it had led.
pub(super) fn is_successor() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Starts this program again with the same options. Returns only if that fails.
pub(super) fn start() -> io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments
        .next()
        .unwrap_or_else(|| OsString::from(super::NAME));
    Command::new(THIS_PROGRAM)
        .arg0(name)
        .args(arguments)
        .env(VARIABLE, "1")
        .exec()
}
