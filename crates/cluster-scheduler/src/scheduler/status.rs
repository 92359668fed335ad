//! A summary of a scheduler.

use std::fmt;

use visible::counted;

/// A scheduler in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How many pools there are.
    pub pools: usize,
    /// How many workers are connected.
    pub workers: usize,
    /// How many jobs they run.
    pub running: usize,
    /// How many jobs wait.
    pub queued: usize,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pools,
            workers,
            running,
            queued,
        } = *self;
        let pools = counted(pools, "pool");
        let workers = counted(workers, "worker");
        let running = counted(running, "job");
        write!(f, "{pools}, {workers}, {running} running, {queued} queued")
    }
}
