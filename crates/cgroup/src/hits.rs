//! Which limits of a group were reached.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::event::{EventfdFlags, eventfd};

use crate::limits::PidLimit;

/// Which limits were reached by what ran in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct Hits {
    /// The kernel killed something because memory was used up.
    pub memory: bool,
    /// Something was not started because there were too many processes.
    pub pids: bool,
}

/// Hears of it when the memory of a group of the first version is used up.
///
/// Its counter of killed processes counts those of the very group that they were in, which may lie below this one and be gone
/// before it is read. An event comes in the group whose limit was reached, and in all below it.
#[derive(Debug)]
pub(crate) struct OomEvents(OwnedFd);

impl OomEvents {
    /// Listens to a group. The kernel has the file from the first version of cgroups on.
    pub(crate) fn listen(directory: &Path) -> io::Result<Self> {
        let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = File::open(directory.join("memory.oom_control"))?;
        let line = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
        fs::write(directory.join("cgroup.event_control"), line)?;
        Ok(Self(events))
    }

    /// Returns whether there was such an event. Only once: then it is forgotten. To be asked before the group is removed, which
    /// is told as an event, too.
    fn happened(&self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(self.0.as_fd(), &mut count).is_ok_and(|length| length > 0)
    }
}

/// Returns whether memory was used up, according to the kernel's counters in one directory of a group.
pub(crate) fn memory(directory: &Path, events: Option<&OomEvents>) -> bool {
    let counted = |file: &str| counter(&directory.join(file), "oom_kill") > 0;
    // With the second version, this counts what lies below as well.
    counted("memory.events")
        || counted("memory.oom_control")
        || events.is_some_and(OomEvents::happened)
}

/// Returns whether there were as many processes as allowed, according to the counters in one directory of a group and in
/// those below it.
///
/// Up to Linux 6.10, a process that may not start another is counted in the group that it is in, which may be gone. So the
/// highest number is looked at as well, which kernels keep from 6.1 on.
pub(crate) fn pids(directory: &Path, limit: PidLimit) -> bool {
    let refused = crate::kill::tree(directory)
        .iter()
        .any(|directory| counter(&directory.join("pids.events"), "max") > 0);
    let peak = fs::read_to_string(directory.join("pids.peak")).unwrap_or_default();
    let peak = peak.trim().parse().unwrap_or(0_u32);
    refused || peak >= limit.count()
}

/// Returns the number after `name` in a file with a counter in each line. `0` if there is none.
pub(crate) fn counter(file: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_default()
}
