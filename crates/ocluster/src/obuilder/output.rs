//! Answers for people, and for programs as [`crate::json::obuilder`] defines them.

use serde::Serialize;

use cli::error::CommandError;
use cli::output::Format;

/// The option of all commands that list something.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct OutputArgs {
    /// Output format: text for people, json for programs
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    output: Format,
}

impl OutputArgs {
    /// Prints the answer in the chosen format.
    pub(super) fn print<T: Serialize>(
        self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> T,
    ) -> Result<(), CommandError> {
        self.output.print(text, json)
    }
}
