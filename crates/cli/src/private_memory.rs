//! Keeps the memory of a program out of core files, and from other programs of the same user.
//!
//! All programs hold secrets: the scheduler's key, cap files, passwords and secrets of jobs.
//!
//! A program runs on if the system refuses. The error is for its log, which starts later.

use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior, setrlimit};

/// Forbids other processes of the same user to read the memory of this one.
///
/// It also forbids core files, even those that are piped to a crash handler whatever their limit is.
pub(crate) fn forbid_reading() -> Result<(), String> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("Cannot make this process undumpable: {error}"))
}

/// Sets the limit for core files to 0, here and in the programs that this one starts, which may raise it.
pub(crate) fn forbid_core_files() -> Result<(), String> {
    let mut limit = getrlimit(Resource::Core);
    if limit.current == Some(0) {
        return Ok(());
    }
    limit.current = Some(0);
    setrlimit(Resource::Core, limit).map_err(|error| format!("Cannot forbid core files: {error}"))
}
