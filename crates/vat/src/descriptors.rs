//! How many descriptors the system has left for connections.

use rustix::process::{Resource, getrlimit};

/// Returns how many connections there may be at a time, so that enough descriptors are left for all that a program does
/// besides: a quarter, or 128.
pub(crate) fn for_connections() -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return usize::MAX;
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Where /proc is not to be seen, a few are in use as with every program.
    let used = std::fs::read_dir("/proc/self/fd").map_or(16, Iterator::count);
    let reserved = (limit / 4).min(128);
    limit.saturating_sub(used + reserved).max(8)
}
