//! The cgroups of containers: the one thing by which everything that runs in a container can be found from outside.
//!
//! A container's cgroup is called as the container is, and lies at the root of every hierarchy, where the runtime makes
//! and removes it. What is done here is for what a runtime has left.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

const ROOT: &str = "/sys/fs/cgroup";

/// How often we look for processes of a container that is being ended.
const MOST_LOOKS: u32 = 10;

/// Returns the path to give the runtime for the container `id`.
pub(super) fn path(id: &str) -> String {
    format!("/{id}")
}

/// Returns the cgroups that a container has now, one in each hierarchy.
fn of_container(id: &str) -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    let hierarchies = if root.join("cgroup.controllers").exists() {
        vec![root.to_owned()]
    } else {
        // Controllers that share a hierarchy have links to it, which would only lead to the same again.
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect()
    };
    hierarchies
        .into_iter()
        .map(|hierarchy| hierarchy.join(id))
        .filter(|cgroup| cgroup.is_dir())
        .collect()
}

/// Kills what is in the container's cgroups, and returns how many processes that were.
pub(super) fn kill(id: &str) -> usize {
    let mut killed = 0;
    let cgroups = of_container(id);
    thaw(&cgroups);
    for cgroup in cgroups {
        for pid in processes(&cgroup) {
            // It may have gone by itself since it was listed.
            if kill_process(pid, Signal::KILL).is_ok() {
                killed += 1;
            }
        }
    }
    killed
}

/// Kills what is in the container's cgroups, and waits until it has gone, or until `limit` has passed for one of them.
pub(super) fn end(id: &str, limit: Duration) {
    // What it starts while we look is found by looking again; what cannot be killed is not looked at for ever.
    for _ in 0..MOST_LOOKS {
        thaw(&of_container(id));
        let left = members(id);
        if left.is_empty() {
            return;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
                && pidfd_send_signal(&process, Signal::KILL).is_ok()
            {
                wait_for_end(process.as_fd(), limit);
            }
        }
    }
}

/// Lets go on what a runtime has frozen that was killed meanwhile: what is frozen cannot even be killed.
///
/// That is so in cgroups of the first version, and the others have no such file.
fn thaw(cgroups: &[PathBuf]) {
    for cgroup in cgroups.iter().flat_map(|cgroup| inner(cgroup)) {
        let state = cgroup.join("freezer.state");
        if state.exists()
            && let Err(error) = fs::write(&state, "THAWED")
        {
            tracing::debug!("cannot write to {state:?}: {error}");
        }
    }
}

/// Waits until a process has ended, or `limit` has passed, and returns whether it has ended.
pub(super) fn wait_for_end(process: BorrowedFd<'_>, limit: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(process, PollFlags::IN)];
    let limit = Timespec::try_from(limit).ok();
    poll(&mut fds, limit.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Removes the container's cgroups, which nothing is left in.
///
/// # Errors
/// When something is.
pub(super) fn remove(id: &str) -> io::Result<()> {
    for cgroup in of_container(id) {
        for inner in inner(&cgroup).into_iter().rev() {
            match fs::remove_dir(&inner) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

/// Returns a cgroup and those in it, parents first.
fn inner(cgroup: &Path) -> Vec<PathBuf> {
    let mut found = vec![cgroup.to_owned()];
    let mut next = 0;
    while let Some(cgroup) = found.get(next).cloned() {
        next += 1;
        let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
        let directories = entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(directories.map(|entry| entry.path()));
    }
    found
}

/// Returns the processes of a container.
pub(super) fn members(id: &str) -> Vec<i32> {
    let cgroups = of_container(id);
    let mut members: Vec<_> = cgroups
        .iter()
        .flat_map(|cgroup| processes(cgroup))
        .map(Pid::as_raw_pid)
        .collect();
    members.sort_unstable();
    members.dedup();
    members
}

fn processes(cgroup: &Path) -> Vec<Pid> {
    let mut found = Vec::new();
    for cgroup in inner(cgroup) {
        let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        // Processes that we cannot see are listed as 0.
        let pids = text
            .lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?));
        found.extend(pids);
    }
    found
}
