//! Every option as a flag, as an environment variable, and as a key in a file; and which of them applies.
//!
//! The order of precedence is flag, variable, file, default. A source replaces the later ones: a list is never merged
//! from two. All of this is derived from the definition of a command line, so a new option has its variable and its key
//! at once.
//!
//! A command line is parsed twice. First clap parses what is typed, whether options are missing or not. Then `settings`
//! finds the value of each option, and writes a command line with all values, which clap parses again. There is no
//! shorter way:
//!
//! - clap makes an [`ArgMatches`](clap::ArgMatches) from words only: no value can be added to one.
//! - Its own support of variables knows neither files nor our order of precedence. A default of clap does not count as
//!   given, neither for a required option nor for `requires` and `conflicts_with`.
//! - Without the second parse, these rules, and the texts of their errors, would exist twice.
//! - Which tables of the file apply is known only when the command is, so the first parse is needed too.
//!
//! The second parse is left out when every value is typed or a default.

mod configuration;
mod file;
mod known;
mod level;
mod options;
mod precedence;
mod reader;
mod report;
mod settings;
mod sources;
mod spelling;
mod unknown_variables;
mod value;

#[cfg(test)]
mod tests;

use clap::{Arg, ArgAction, Command};

pub use self::known::JOB_VARIABLES;
pub use self::options::{ConfigOption, OptionKind};
use self::options::{FILE_OPTION, PRINT_OPTION};
pub(crate) use self::report::page;
pub(crate) use self::settings::Settings;
pub use self::sources::ConfigSources;
pub use self::spelling::closest;

/// The paragraph about configuration in the help of each program.
pub(crate) const HELP: &str = "\
Every option can also be set by an environment variable (OCLUSTER_STATE_DIR for --state-dir) or in a TOML file \
(state-dir = \"…\"; the options of a command in the table of that name). Flags override variables, and variables \
override the file.";

/// Adds the options about configuration itself to a program.
pub(crate) fn with_options(program: Command) -> Command {
    let file = Arg::new(FILE_OPTION)
        .long(FILE_OPTION)
        .value_name("FILE")
        .value_parser(clap::value_parser!(std::path::PathBuf));
    let name = default_file(program.get_name());
    let file = file.help(format!(
        "Configuration file [default: {}, if it exists]",
        name.display()
    ));
    let print = Arg::new(PRINT_OPTION)
        .long(PRINT_OPTION)
        .action(ArgAction::SetTrue)
        .help("Print the value of every option and its source, and exit");
    [file, print].into_iter().fold(program, |program, arg| {
        program.arg(arg.global(true).help_heading("Common options"))
    })
}

/// Returns the file that a program reads by default.
pub fn default_file(program: &str) -> std::path::PathBuf {
    file::default_file(file::DIRECTORY.as_ref(), program)
}

/// Returns the environment for the programs that we run: ours without our own options.
pub fn environment_of_others() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let ours = |name: &std::ffi::OsStr| {
        name.as_encoded_bytes()
            .starts_with(options::PREFIX.as_bytes())
    };
    std::env::vars_os()
        .filter(|(name, _)| !ours(name))
        .collect()
}

/// Checks a file's text as the configuration of `program`; returns the message if it is invalid.
///
/// # Errors
/// The message that a program would print.
pub fn check_file(path: &std::path::Path, text: &str, program: &Command) -> Result<(), String> {
    file::File::parse(path, text, program)
        .map(drop)
        .map_err(|error| error.message)
}
