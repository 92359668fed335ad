//! The options of all programs by name, so that a program can name the one that has an option without linking them all.
//!
//! The list is a snapshot: a test of `ocluster`, which has the programs, compares it, and updates it with
//! `UPDATE_EXPECT=1`.

use super::options;

/// A line for each option: its program, a space, and its name.
const OPTIONS: &str = include_str!("known_options.txt");

/// The variables that a worker sets for a custom job, which may run one of our programs.
pub const JOB_VARIABLES: [&str; 7] = [
    "OCLUSTER_CUSTOM_KIND",
    "OCLUSTER_CUSTOM_PAYLOAD",
    "OCLUSTER_CUSTOM_CACHE_HINT",
    "OCLUSTER_CUSTOM_COMMITS",
    "OCLUSTER_CUSTOM_RESULT",
    "OCLUSTER_CUSTOM_SECRETS",
    "OCLUSTER_CUSTOM_PROGRAM",
];

/// An option of any program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownOption {
    pub(super) program: &'static str,
    name: &'static str,
}

impl KnownOption {
    /// Returns its key in a file. `None` for the option that names the file.
    pub(super) fn key(&self) -> Option<&'static str> {
        (self.name != options::FILE_OPTION).then_some(self.name)
    }

    /// Returns its variable.
    pub(super) fn variable(&self) -> String {
        options::variable(self.name)
    }
}

/// Returns the options of all programs.
pub(super) fn options() -> Vec<KnownOption> {
    OPTIONS
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(program, name)| KnownOption { program, name })
        .collect()
}
