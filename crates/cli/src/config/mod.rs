//! Every option as a flag, as an environment variable, and as a key in a file; and which of them applies.
//!
//! The order of precedence is flag, variable, file, default. A source replaces the later ones: a list is never merged
//! from two. All of this is derived from the definition of a command line, so a new option has its variable and its key
//! at once.
//!
//! `settings` finds the value and the source of each option, and writes a command line with all of them. clap then
//! parses that one, so that its rules (which options are required or exclude each other) hold wherever a value came
//! from.

mod file;
mod known;
mod options;
mod report;
mod settings;
mod spelling;
mod value;

#[cfg(test)]
mod tests;

use clap::{Arg, ArgAction, Command};

pub use self::known::JOB_VARIABLES;
pub use self::options::{ConfigOption, OptionKind};
use self::options::{FILE_OPTION, PRINT_OPTION};
pub use self::report::page;
pub use self::settings::{ConfigSources, Settings};
pub use self::spelling::closest;

/// Options that are one setting: the first source that has any of them decides all. `--quiet` overrides the file's
/// `verbosity`, for example. Options that exclude each other are treated this way without being listed.
const ONE_SETTING: &[&[&str]] = &[
    &["quiet", "verbose", "verbosity"],
    &["local-dockerfile", "context-dockerfile"],
];

/// The paragraph about configuration in the help of each program.
pub const HELP: &str = "\
Every option can also be set by an environment variable (OCLUSTER_STATE_DIR for --state-dir) or in a TOML file \
(state-dir = \"…\"; the options of a command in the table of that name). Flags override variables, and variables \
override the file.";

/// Adds the options about configuration itself to a program.
pub fn with_options(program: Command) -> Command {
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
