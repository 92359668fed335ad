//! Errors of the sandbox.

use std::io;

use super::{Exit, LimitReached};

/// Why a command could not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It was cancelled, and killed.
    #[error("cancelled")]
    Cancelled,
    /// It cannot be run as described.
    #[error("{0}")]
    Unsupported(String),
    /// The runtime did not start it.
    #[error("{0}")]
    NotStarted(String),
    /// It failed, and had reached a limit.
    #[error(transparent)]
    LimitReached(#[from] LimitReached),
    /// It failed, and the kernel has killed a process for lack of memory, though it had not reached a limit of
    /// ours.
    #[error("the command was killed: {kill}")]
    OutOfMemory {
        /// How it ended.
        exit: Exit,
        /// The killed process.
        kill: cgroup::MemoryKill,
    },
    /// Its control group could not be created.
    #[error(transparent)]
    Group(#[from] cgroup::GroupError),
    /// The limits of commands cannot be enforced.
    #[error(transparent)]
    Unenforceable(#[from] cgroup::UnenforceableError),
    /// There are no control groups on this machine.
    #[error("cannot run containers: {0}")]
    NoGroups(#[from] cgroup::DetectError),
    /// Its output could not be written, so it was killed.
    #[error("cannot write the step's log: {0}")]
    Log(io::Error),
    /// It could not be killed: the remaining processes, with their states.
    #[error("{0}")]
    Stuck(String),
    /// A system call failed.
    #[error("{action}: {source}")]
    Io {
        /// What failed: "cannot open /x".
        action: String,
        /// Why not.
        source: io::Error,
    },
}

impl SandboxError {
    /// Returns the error of a system call: `action` is what failed, such as "cannot open /x".
    pub(super) fn io(action: String, source: io::Error) -> Self {
        Self::Io { action, source }
    }
}
