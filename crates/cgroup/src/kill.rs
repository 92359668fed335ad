//! Killing all processes in a group.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// How often a group is searched for processes that were started meanwhile.
const MAX_ROUNDS: u32 = 100;

/// Returns a group's directory and those below it, parents first.
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

/// Returns the processes in groups and in those below them, each once.
pub(crate) fn members(directories: &[PathBuf]) -> Vec<Pid> {
    let mut found = Vec::new();
    for directory in directories.iter().flat_map(|directory| tree(directory)) {
        let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        // Processes of other namespaces are listed as 0.
        let pids = text.lines().filter_map(|line| line.parse::<i32>().ok());
        found.extend(pids.filter(|pid| *pid != 0));
    }
    found.sort_unstable();
    found.dedup();
    found.into_iter().filter_map(Pid::from_raw).collect()
}

/// Kills the processes that are in the groups now.
///
/// Frozen processes are thawed, as they do not exit before that with the first version.
pub(crate) fn kill(directories: &[PathBuf]) {
    let members = members(directories);
    if members.is_empty() {
        return;
    }
    // The kernel kills a whole group at once, so that none of its processes can start another meanwhile.
    for directory in directories {
        let kill = directory.join("cgroup.kill");
        if kill.exists() {
            write(&kill, "1");
        }
    }
    for pid in members {
        // It may have exited since it was listed.
        if let Err(error) = kill_process(pid, Signal::KILL) {
            tracing::debug!("Cannot kill process {}: {error}", pid.as_raw_pid());
        }
    }
    thaw(directories);
}

/// Kills the processes in the groups, and waits for their end. Returns whether they have ended within `limit`.
pub(crate) fn end(directories: &[PathBuf], limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    for _ in 0..MAX_ROUNDS {
        kill(directories);
        let left = members(directories);
        let Some(last) = left.last() else {
            return true;
        };
        let rest = deadline.saturating_duration_since(Instant::now());
        // Some processes cannot be killed.
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

/// Thaws the groups.
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
        // The group was removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::debug!("Cannot write to {}: {error}", file.display()),
        Ok(()) => {}
    }
}

/// Waits until a process has ended, for `limit` at most. Returns whether it has ended.
pub fn wait_for_end(process: BorrowedFd<'_>, limit: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
    let limit = Timespec::try_from(limit).ok();
    poll(&mut fds, limit.as_ref()).is_ok_and(|ready| ready > 0)
}
