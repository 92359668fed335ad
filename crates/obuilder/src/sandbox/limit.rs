//! Limits that a command reached.

use cgroup::{Hits, Limits, MemoryLimit, PidLimit};

/// A limit that a failed command had reached, the most likely reason.
///
/// The texts name the option that sets the limit, which is the same in all programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitReached {
    /// The kernel killed some of its processes.
    #[error("the step was killed: it used more than --job-memory={0}")]
    Memory(MemoryLimit),
    /// The kernel refused to start more processes or threads.
    #[error(
        "the step failed: it reached --job-pids={0}, the most processes and threads that a job may have"
    )]
    Pids(PidLimit),
}

impl LimitReached {
    /// Returns the limit of a group that its command reached, if it reached one.
    pub(super) fn of(hits: Hits, limits: &Limits) -> Option<Self> {
        let memory = limits.memory.filter(|_| hits.memory).map(Self::Memory);
        memory.or_else(|| limits.pids.filter(|_| hits.pids).map(Self::Pids))
    }
}
