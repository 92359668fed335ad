//! Every option as a flag, as a variable, and as a key in a file; and which of them counts.
//!
//! One order holds for all: the flag, else the variable, else the file, else the default. A source replaces what the
//! ones after it say: a list is never put together from two. This works on the definition of a command line, so that an
//! option added there has its variable and its key at once.
//!
//! `settings` finds out what each option is and why, and writes the command line that would say all of that; clap then reads
//! that one, so that its rules (what is required, what excludes what) hold wherever a value came from.

mod file;
mod known;
mod options;
mod report;
mod settings;
pub mod spelling;
mod value;

#[cfg(test)]
mod tests;

use clap::{Arg, ArgAction, Command};

pub use self::known::JOB_VARIABLES;
pub use self::options::{ConfigOption, OptionKind};
use self::options::{FILE_OPTION, PRINT_OPTION};
pub use self::report::page;
pub use self::settings::{Settings, Surroundings};
pub use self::spelling::closest;

/// Options of which the first source that has any of them has the word about all: whoever says `--quiet` does not want
/// the file's `verbosity`. Options that exclude each other are treated so anyway.
const ONE_SETTING: &[&[&str]] = &[
    &["quiet", "verbose", "verbosity"],
    &["local-dockerfile", "context-dockerfile"],
];

/// What the help of each program says about all this.
pub const HELP: &str = "\
Any option may also be given as a variable (OCLUSTER_STATE_DIR for --state-dir), or in a TOML file (state-dir = \"…\"; the \
options of a command in a table of its name). A flag goes before a variable, a variable before the file.";

/// Adds to a program the options that are about configuration itself.
pub fn with_options(program: Command) -> Command {
    let file = Arg::new(FILE_OPTION)
        .long(FILE_OPTION)
        .value_name("FILE")
        .value_parser(clap::value_parser!(std::path::PathBuf));
    let name = default_file(program.get_name());
    let file = file.help(format!(
        "A file to read options from [default: {}, if there is one]",
        name.display()
    ));
    let print = Arg::new(PRINT_OPTION)
        .long(PRINT_OPTION)
        .action(ArgAction::SetTrue)
        .help("Print the value of every option and where it came from, and do nothing else");
    [file, print].into_iter().fold(program, |program, arg| {
        program.arg(arg.global(true).help_heading("Common options"))
    })
}

/// Returns the file that a program reads without being asked to.
pub fn default_file(program: &str) -> std::path::PathBuf {
    file::default_file(file::DIRECTORY.as_ref(), program)
}

/// Returns what of our environment is for the programs that we run: not our own options.
pub fn environment_of_others() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let ours = |name: &std::ffi::OsStr| {
        name.as_encoded_bytes()
            .starts_with(options::PREFIX.as_bytes())
    };
    std::env::vars_os()
        .filter(|(name, _)| !ours(name))
        .collect()
}

/// Reads a file's text as one of `program`'s; returns the message for one that is none.
pub fn check_file(path: &std::path::Path, text: &str, program: &Command) -> Result<(), String> {
    file::File::parse(path, text, program)
        .map(drop)
        .map_err(|error| error.message)
}
