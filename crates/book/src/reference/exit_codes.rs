//! The exit codes of all programs.

use std::fmt::Write as _;

use cli::exit_codes::{self, ExitCode};
use ocluster::reference;

use super::markdown::prose;

pub(super) fn page() -> String {
    let mut page = String::from(
        "# Exit codes\n\n\
         With `--output=json`, [the last line](json.md#failures-of-every-command) of a command that failed has the \
         details.\n",
    );
    for program in reference::commands() {
        let name = program.get_name();
        // Writing to a String cannot fail.
        writeln!(page, "\n## {name}\n\n| Code | |\n|--|--|").unwrap_or_default();
        for ExitCode { code, meaning } in exit_codes::of(name) {
            writeln!(page, "| {code} | {} |", prose(meaning)).unwrap_or_default();
        }
    }
    page
}
