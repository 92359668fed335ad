//! What a fuzzer needs of the inside: no part of the interface, and free to change.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::process::Command;

pub use crate::executor::docker_fuzzing::dockerfile_use;
pub use crate::source::fuzzing::git_use;

/// A command line as the system gets it.
#[derive(Debug)]
pub struct CommandLine {
    /// The program's arguments.
    pub args: Vec<OsString>,
    /// Its variables.
    pub environment: Vec<(OsString, OsString)>,
    /// How it is shown in a job's log.
    pub shown: String,
}

/// What a worker makes of a Dockerfile.
#[derive(Debug)]
pub struct DockerfileUse {
    /// The Dockerfile as `docker` gets it.
    pub dockerfile: String,
    /// The build arguments as `docker` gets them.
    pub build_args: Vec<String>,
    /// What was left out of both.
    pub ignored: Vec<String>,
    /// The images that it begins with.
    pub bases: Vec<String>,
    /// The command of the build.
    pub command: CommandLine,
}

/// What a worker makes of the URL of a repository.
#[derive(Debug)]
pub struct GitUse {
    /// The URL as git gets it.
    pub url: String,
    /// The URL as it is shown.
    pub shown: String,
    /// Where the clone is kept.
    pub clone: PathBuf,
    /// Whether there were credentials in it.
    pub is_private: bool,
    /// The commands that have to do with the URL.
    pub commands: Vec<CommandLine>,
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
