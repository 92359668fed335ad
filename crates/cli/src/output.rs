//! Answers for people or for programs: the option `--output`, and printing.

use clap::ValueEnum;
use serde::Serialize;

use crate::error::CommandError;
use crate::failure::Failure;
use crate::print::{print, print_line};
use crate::terminal;

/// The audience of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// People.
    #[default]
    #[value(help = "for people")]
    Text,
    /// Programs.
    #[value(help = "for programs")]
    Json,
}

/// The option of programs all of whose commands print answers.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct OutputArgs {
    /// Output format: text for people, json for programs
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    pub output: Format,
}

impl Format {
    /// Prints a whole answer.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn print<T: Serialize>(
        self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> T,
    ) -> Result<(), CommandError> {
        match self {
            Self::Text => print(&text()),
            Self::Json => {
                let json = serde_json::to_string_pretty(&json()).map_err(CommandError::internal)?;
                print_line(terminal::plain_json(&json))
            }
        }
    }
}

/// Prints one event, on a line of its own.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_event<T: Serialize>(event: &T) -> Result<(), CommandError> {
    let json = serde_json::to_string(event).map_err(CommandError::internal)?;
    print_line(terminal::plain_json(&json))
}

/// Prints the failure of a command as JSON. Standard error has it as text.
pub(crate) fn print_failure(error: &CommandError) {
    if let Some(failure) = Failure::of(error) {
        // If standard output is closed, there is still the exit code.
        drop(print_event(&failure));
    }
}

/// Returns whether a command line asks for JSON, even if it is invalid otherwise.
pub(crate) fn asks_for_json<S: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = S>) -> bool {
    let mut before_is_option = false;
    for word in words {
        let word = word.as_ref();
        if word == "--" {
            return false;
        }
        if word == "--output=json" || (before_is_option && word == "json") {
            return true;
        }
        before_is_option = word == "--output";
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_json_is_recognised_anywhere() {
        for (line, asked) in [
            ("ocluster-admin --output json show", true),
            ("ocluster-admin show --output=json", true),
            ("ocluster-admin show --output text json", false),
            ("ocluster-admin show json", false),
            ("ocluster-admin exec pool -- x --output json", false),
        ] {
            assert_eq!(asks_for_json(line.split(' ')), asked, "{line}");
        }
    }
}
