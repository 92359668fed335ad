//! Detection of processes that the kernel killed for lack of memory, without a limit of ours being reached.
//!
//! The limit may be that of the worker's service or container, or the memory of the machine. A process then ends by
//! SIGKILL or with status 137, and its output does not show the cause.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::Group;
use crate::hits::counter;
use crate::kill::tree;

/// The number of processes that were killed for lack of memory when a step began, to compare with the number when it
/// failed.
#[derive(Debug, Clone, Copy)]
pub struct MemoryWatch {
    /// The number on the whole machine.
    machine: u64,
}

/// How certain it is that a process was killed for lack of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKill {
    /// The kernel has counted it in the group of the job.
    Counted,
    /// The process was killed, and the kernel has killed processes on this machine meanwhile. Which ones is unknown, as
    /// their group was removed or is another program's.
    Likely,
}

impl MemoryWatch {
    /// Reads the number of killed processes.
    #[must_use]
    pub fn start() -> Self {
        Self { machine: machine() }
    }

    /// Returns whether a step that has failed since then, in `group`, has lost a process for lack of memory.
    ///
    /// `was_killed` says whether it ended by SIGKILL, or with status 137, by which shells report that. Only then may
    /// kills elsewhere on the machine be the cause. Call it before the group is removed.
    #[must_use]
    pub fn found(&self, group: Option<&Group>, was_killed: bool) -> Option<MemoryKill> {
        let counts = |path: &Path| {
            // With the second version, counters include the groups below. With the first, they do not.
            tree(path).iter().any(|path| {
                ["memory.events", "memory.oom_control"]
                    .iter()
                    .any(|file| counter(&path.join(file), "oom_kill") > 0)
            })
        };
        if group.is_some_and(|group| group.directories().any(counts)) {
            return Some(MemoryKill::Counted);
        }
        (was_killed && machine() > self.machine).then_some(MemoryKill::Likely)
    }
}

/// Returns whether a status is the one by which shells and engines report that a program was killed.
#[must_use]
pub const fn is_killed_status(status: i32) -> bool {
    status == 128 + 9
}

impl fmt::Display for MemoryKill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counted => "the kernel killed a process of it for lack of memory",
            Self::Likely => {
                "the kernel probably killed it for lack of memory: while it ran, the kernel killed processes on this \
                 machine for that reason"
            }
        })?;
        f.write_str(
            "; give this machine or the worker's service more memory, or run fewer jobs at a time",
        )
    }
}

/// Returns how many processes of this machine were killed for lack of memory since it was started; 0 if the kernel does
/// not count them.
fn machine() -> u64 {
    counter_in(&fs::read_to_string("/proc/vmstat").unwrap_or_default())
}

fn counter_in(vmstat: &str) -> u64 {
    let number = vmstat
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "));
    number
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_elsewhere_do_not_explain_an_ordinary_failure() {
        // As if a process had been killed since.
        let watch = MemoryWatch { machine: 0 };
        assert_eq!(watch.found(None, false), None);
        let never = MemoryWatch { machine: u64::MAX };
        assert_eq!(never.found(None, true), None);
        assert_eq!(counter_in("oom 1\noom_kill 51\noom_kill_x 2\n"), 51);
        assert_eq!(counter_in(""), 0);
        assert!(is_killed_status(137) && !is_killed_status(9));
    }
}
