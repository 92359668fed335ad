//! Ending everything in a group.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// How often a group is looked at for what was started meanwhile.
const MOST_LOOKS: u32 = 100;

/// Returns a directory of a group and those below it, parents first.
pub(crate) fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        next += 1;
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(directories.map(|entry| entry.path()));
    }
    found
}

/// Returns the processes in the groups and those below them, each once.
pub(crate) fn members(directories: &[PathBuf]) -> Vec<Pid> {
    let mut found = Vec::new();
    for directory in directories.iter().flat_map(|directory| tree(directory)) {
        let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        // Processes that we cannot see are listed as 0.
        let pids = text.lines().filter_map(|line| line.parse::<i32>().ok());
        found.extend(pids.filter(|pid| *pid != 0));
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter().filter_map(Pid::from_raw).collect()
}

/// Kills what is in the groups now.
///
/// Frozen processes are thawed, since with the first version they do not even die.
pub(crate) fn kill(directories: &[PathBuf]) {
    let members = members(directories);
    if members.is_empty() {
        return;
    }
    // The kernel kills a whole group at once, so that nothing can start anything meanwhile.
    for directory in directories {
        let kill = directory.join("cgroup.kill");
        if kill.exists() {
            write(&kill, "1");
        }
    }
    for pid in members {
        // It may have gone by itself since it was listed.
        if let Err(error) = kill_process(pid, Signal::KILL) {
            tracing::debug!("Cannot kill process {}: {error}", pid.as_raw_pid());
        }
    }
    thaw(directories);
}

/// Kills what is in the groups, and waits until it has gone. Returns whether it has before `limit` has passed.
pub(crate) fn end(directories: &[PathBuf], limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    for _ in 0..MOST_LOOKS {
        kill(directories);
        let left = members(directories);
        let Some(last) = left.last() else {
            return true;
        };
        let rest = deadline.saturating_duration_since(Instant::now());
        // What cannot be killed is not looked at for ever.
        if rest.is_zero() {
            return false;
        }
        if let Ok(process) = pidfd_open(*last, PidfdFlags::empty())
            && pidfd_send_signal(&process, Signal::KILL).is_ok()
        {
            wait_for_end(process.as_fd(), rest);
        }
    }
    members(directories).is_empty()
}

/// Lets go on what was frozen.
fn thaw(directories: &[PathBuf]) {
    for directory in directories.iter().flat_map(|directory| tree(directory)) {
        for (file, thawed) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
            let file = directory.join(file);
            if file.exists() {
                write(&file, thawed);
            }
        }
    }
}

fn write(file: &Path, text: &str) {
    match fs::write(file, text) {
        // The group has gone meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::debug!("Cannot write to {file:?}: {error}"),
        Ok(()) => {}
    }
}

/// Waits until a process has ended, or `limit` has passed, and returns whether it has ended.
pub fn wait_for_end(process: BorrowedFd<'_>, limit: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
    let limit = Timespec::try_from(limit).ok();
    poll(&mut fds, limit.as_ref()).is_ok_and(|ready| ready > 0)
}
