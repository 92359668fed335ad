//! Why a command did not end by itself.

use std::io;

use super::{Exit, LimitReached};

/// Why a command did not end by itself.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It was killed, as was asked for.
    #[error("cancelled")]
    Cancelled,
    /// It cannot be run as described.
    #[error("{0}")]
    Unsupported(String),
    /// The runtime did not start it.
    #[error("{0}")]
    NotStarted(String),
    /// It did not succeed, and had reached a limit.
    #[error(transparent)]
    LimitReached(#[from] LimitReached),
    /// It did not succeed, and the kernel has killed a process for lack of memory, though no limit of ours was reached.
    #[error("the command was killed: {kill}")]
    OutOfMemory {
        /// How it ended.
        exit: Exit,
        /// How that is known.
        kill: cgroup::MemoryKill,
    },
    /// It has no control group of its own.
    #[error(transparent)]
    Group(#[from] cgroup::GroupError),
    /// The limits that commands should have cannot be enforced.
    #[error(transparent)]
    Unenforceable(#[from] cgroup::UnenforceableError),
    /// There are no control groups on this machine.
    #[error("cannot run containers: {0}")]
    NoGroups(#[from] cgroup::DetectError),
    /// What it printed could not be kept, so it was killed.
    #[error("cannot write the step's log: {0}")]
    Log(io::Error),
    /// It was to be killed, and something of it is still there: what, and in which state.
    #[error("{0}")]
    Stuck(String),
    /// The system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why not.
        source: io::Error,
    },
}

impl SandboxError {
    /// Returns the error that the system refused what was being done.
    pub(super) fn io(doing: String, source: io::Error) -> Self {
        Self::Io { doing, source }
    }
}
