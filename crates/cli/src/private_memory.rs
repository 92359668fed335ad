//! Keeps what a program has in memory out of core files, and from other programs of its user.
//!
//! All of them hold secrets: the scheduler's key, cap files, passwords and secrets of jobs.

use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior, setrlimit};

/// Has the system write no core file of this process, and let no other process of its user read its memory.
///
/// Not even for a crash handler that core files are piped to, whatever the limit is. Programs that this one starts are
/// as they would be, but that their limit for core files is 0 until they raise it. Where the system refuses, the
/// program runs all the same.
pub(crate) fn keep() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!("Cannot make this process undumpable: {error}");
    }
    let mut limit = getrlimit(Resource::Core);
    if limit.current != Some(0) {
        limit.current = Some(0);
        if let Err(error) = setrlimit(Resource::Core, limit) {
            tracing::debug!("Cannot forbid core files: {error}");
        }
    }
}
