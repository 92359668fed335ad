//! The limits of a group that were reached.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::event::{EventfdFlags, eventfd};

use crate::limits::PidLimit;

/// The limits that the processes in a group have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct Hits {
    /// The kernel killed a process because it exceeded the memory limit.
    pub memory: bool,
    /// A process could not start another because there were too many.
    pub pids: bool,
}

/// Events that say that a group of the first version has reached its memory limit.
///
/// The kernel counts killed processes only in the group that they were in. That may be below this one, and may be
/// removed before its counter is read. Events are sent to the group whose limit was reached, and to all groups below
/// it.
#[derive(Debug)]
pub(crate) struct OomEvents(OwnedFd);

impl OomEvents {
    /// Starts to listen for events of a group of the first version.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(crate) fn listen(directory: &Path) -> io::Result<Self> {
        let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let control = File::open(directory.join("memory.oom_control"))?;
        let line = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
        fs::write(directory.join("cgroup.event_control"), line)?;
        Ok(Self(events))
    }

    /// Returns whether there was an event since the last call. Call it before the group is removed, as that causes an
    /// event, too.
    fn take(&self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(self.0.as_fd(), &mut count).is_ok_and(|length| length > 0)
    }
}

/// Returns whether the memory limit was reached, according to the kernel's counters in one directory of a group.
pub(crate) fn memory(directory: &Path, events: Option<&OomEvents>) -> bool {
    let counted = |file: &str| counter(&directory.join(file), "oom_kill") > 0;
    // With the second version, this includes the groups below.
    counted("memory.events") || counted("memory.oom_control") || events.is_some_and(OomEvents::take)
}

/// Returns whether the limit of processes was reached, according to the counters in one directory of a group and in
/// those below it.
///
/// Up to Linux 6.10, the kernel counts a refused process in the group of its parent process, which may have been
/// removed. So the peak number is checked, too, which the kernel records from 6.1 on.
pub(crate) fn pids(directory: &Path, limit: PidLimit) -> bool {
    let refused = crate::kill::tree(directory)
        .iter()
        .any(|directory| counter(&directory.join("pids.events"), "max") > 0);
    let peak = fs::read_to_string(directory.join("pids.peak")).unwrap_or_default();
    let peak = peak.trim().parse().unwrap_or(0_u32);
    refused || peak >= limit.count()
}

/// Returns the counter `name` of a file with one counter in each line; 0 if it is missing.
pub(crate) fn counter(file: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_default()
}
