//! Why a store could not do something, and how an error of the system becomes that.

use std::io;
use std::path::{Path, PathBuf};

use crate::StepId;

/// Why a store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The step that another is based on has no result, or no longer.
    #[error("Build result \"{0}\" not found")]
    NoBase(StepId),
    /// The disk is full.
    #[error("no space left on {path:?} while {doing}")]
    Full {
        /// What was being done: "publishing ID".
        doing: String,
        /// Where.
        path: PathBuf,
    },
    /// Something that outlived a step has its files open for writing.
    #[error(
        "cannot keep {0:?}: a process still uses files in it; end what the step started, or passed files to"
    )]
    InUse(PathBuf),
    /// Another program reads it.
    #[error(
        "cannot remove {0:?}: another program reads it, such as `obuilder export` or `obuilder shell`; try again when that has ended"
    )]
    BeingRead(PathBuf),
    /// It is another process's to change.
    #[error("cannot change the store {0:?}: it was opened for reading")]
    OnlyRead(PathBuf),
    /// The system refused something.
    #[error("{doing} {path:?}: {source}")]
    Io {
        /// What was being done: "mounting".
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that was needed failed.
    #[error("{command} failed: {reason}")]
    Command {
        /// The command line.
        command: String,
        /// What it said, or how it ended.
        reason: String,
    },
    /// A program that is needed is not installed.
    #[error(
        "cannot run {program:?}: there is no such program in PATH; install it (on Debian: apt-get install {package})"
    )]
    NoProgram {
        /// The program.
        program: String,
        /// The package of Debian that has it.
        package: String,
    },
}

impl StoreError {
    /// Returns what to tell of a system call on `path` that failed. A full disk, or quota, is told apart.
    pub(super) fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full {
                doing: doing.to_owned(),
                path,
            },
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }
}

/// Says of a failed system call what it was for.
pub(super) trait Doing<T> {
    /// Adds that it was `doing`, to `path`.
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::new(doing, path, error.into()))
    }
}

/// Takes "it is not there" for done: for what is removed, or made, whoever did it.
pub(super) fn unless(kind: io::ErrorKind, result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        other => other,
    }
}
