//! A command line, for a fuzzer to check.

use std::ffi::OsString;

use super::Command;

/// A command line as it is passed to the system.
#[derive(Debug)]
pub struct CommandLine {
    /// The program's arguments.
    pub args: Vec<OsString>,
    /// Its variables.
    pub environment: Vec<(OsString, OsString)>,
    /// Its text in logs.
    pub shown: String,
}

impl From<Command> for CommandLine {
    fn from(command: Command) -> Self {
        let environment = command.environment().iter();
        Self {
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            shown: command.to_string(),
            args: command.args().to_vec(),
        }
    }
}
