//! A summary of a scheduler.

use std::fmt;

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
        let of =
            |count: usize, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (pools, workers, running) =
            (of(pools, "pool"), of(workers, "worker"), of(running, "job"));
        write!(f, "{pools}, {workers}, {running} running, {queued} queued")
    }
}
