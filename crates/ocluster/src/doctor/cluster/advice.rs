//! What to do about a pool or a worker.

use std::path::Path;

/// Builds the command lines that help with a pool.
pub(super) struct Advice<'a> {
    pub(super) cap: &'a Path,
    pub(super) pool: &'a str,
}

impl Advice<'_> {
    /// Returns the line of `ocluster-admin` with this command for the pool, or for `worker` if it is not empty.
    pub(super) fn command(&self, command: &str, worker: &str) -> String {
        let line = format!(
            "ocluster-admin {command} {} {} {worker}",
            self.cap.display(),
            self.pool
        );
        line.trim_end().to_owned()
    }
}
