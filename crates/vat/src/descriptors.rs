//! How many file descriptors are left for connections.

use rustix::process::{Resource, getrlimit};

/// Returns how many connections may be open at a time. A quarter of the descriptors, 128 at most, is reserved for other
/// uses.
pub(crate) fn max_connections() -> usize {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return usize::MAX;
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Without /proc, assume that a few are in use, as in every program.
    let used = std::fs::read_dir("/proc/self/fd").map_or(16, Iterator::count);
    let reserved = (limit / 4).min(128);
    limit.saturating_sub(used + reserved).max(8)
}
