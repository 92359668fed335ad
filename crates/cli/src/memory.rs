//! Returns free memory to the system.
//!
//! The allocator returns free memory only during other allocations, so it keeps the memory of a burst while nothing
//! allocates. Long-running programs therefore ask it to from time to time.

use std::time::{Duration, Instant};

/// The shortest pause between two collections.
const SHORTEST: Duration = Duration::from_secs(2);

/// With less memory than this, in bytes, nothing is done.
const MIN_RESIDENT: u64 = 32 << 20;

/// The pause is at least this many times as long as the collection took, so that large programs do not spend all their
/// time on it.
const PAUSE_FACTOR: u32 = 50;

/// The longest pause, however long the collection took: on a busy machine, that time means little.
const LONGEST: Duration = Duration::from_secs(5);

/// Returns free memory to the system from now on.
///
/// Must be called within a `LocalSet`, on the thread that does everything else: free memory belongs to the thread that
/// allocated it.
pub fn release_periodically() {
    tokio::task::spawn_local(async {
        let mut pause = SHORTEST;
        loop {
            tokio::time::sleep(pause).await;
            let start = Instant::now();
            // Only the allocator knows how much of it is free.
            if resident_bytes(std::process::id()).is_ok_and(|bytes| bytes > MIN_RESIDENT) {
                allocator::collect();
            }
            pause = (start.elapsed() * PAUSE_FACTOR).clamp(SHORTEST, LONGEST);
        }
    });
}

/// Returns the resident memory of a process, in bytes.
///
/// # Errors
/// When there is no such process, or the kernel does not report it.
pub fn resident_bytes(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let status =
        std::fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    parse_resident(&status).ok_or_else(|| format!("cannot read {path}: it has no VmRSS"))
}

/// Reads the resident memory, in bytes, from a process's `status` file.
fn parse_resident(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

mod allocator {
    #![expect(unsafe_code, reason = "the crate has no safe function for it")]

    // Links it wherever this module is, even if the program has another allocator.
    use mimalloc as _;

    unsafe extern "C" {
        fn mi_collect(force: bool);
    }

    /// Makes the allocator return free memory.
    pub(super) fn collect() {
        // SAFETY: it may be called at any time, from any thread, and only touches free memory.
        unsafe { mi_collect(true) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_collects() {
        allocator::collect();
        assert!(resident_bytes(std::process::id()).unwrap() > 1 << 20);
    }
}
