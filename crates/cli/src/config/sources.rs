//! Where values come from: the environment and the directory of configuration files, and which of them a value is from.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::file::{DIRECTORY, Place};

/// The sources of options besides the command line. Tests replace them.
pub struct ConfigSources {
    /// The environment.
    pub variables: BTreeMap<OsString, OsString>,
    /// The directory of the files that are read by default.
    pub directory: PathBuf,
}

impl ConfigSources {
    /// Returns those of this process.
    pub(crate) fn of_this_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            directory: DIRECTORY.into(),
        }
    }

    /// Returns sources that set no option.
    pub fn empty() -> Self {
        Self {
            variables: BTreeMap::new(),
            directory: "/nowhere".into(),
        }
    }

    /// Returns the value of a variable. An empty one counts as unset: that is how Compose files leave one out.
    pub(super) fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables
            .get(OsStr::new(name))
            .filter(|value| !value.is_empty())
    }
}

/// The source of a value. Earlier ones override later ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The command line, with the option's flag.
    Flag,
    /// The command line, with the argument CAP.
    Argument,
    Variable(String),
    File(Place),
    /// No source: the default.
    Default,
}

impl Source {
    /// Returns 0 for the source that overrides all others, 3 for the one that overrides none.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Flag | Self::Argument => 0,
            Self::Variable(_) => 1,
            Self::File(_) => 2,
            Self::Default => 3,
        }
    }
}
