//! Chooses the process that makes a container: this one, or a copy of it that the kernel starts in the container's
//! group.
//!
//! When a process joins a group of the second version, the kernel stops all processes for a moment, which takes 8 ms:
//! as long as making a whole container. Starting a process in the group needs no stop.

use std::fs::File;
use std::io;
use std::path::Path;

use cgroup::Group;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, set_parent_process_death_signal, waitpid,
};

use super::kernel::{Fork, fork_into};
use crate::sandbox::groups::Record;
use crate::sandbox::stdio::Input;

/// The process that makes the container.
pub(super) enum Maker {
    /// This process.
    Here(Entrance),
    /// A copy of it, for which this process waits.
    Copy(Pid),
}

/// The groups for the process that makes a container.
pub(super) struct Entrance {
    /// The container's inner groups.
    pub(super) inner: Group,
    /// Whether this process was started in the one of the second version.
    pub(super) is_in_second: bool,
}

/// Starts a copy of this process in the container's group of the second version, if there is one.
///
/// With input, this process is killed when its parent exits, and the copy when this process does. Without input, the
/// end of standard input means that the command is no longer wanted.
pub(super) fn start(bundle: &Path, input: Input) -> io::Result<Maker> {
    let inner = Record::read(bundle)?.inner();
    if input != Input::Empty {
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    let this = getpid();
    let is_in_second = match start_in_second(&inner) {
        Some(Fork::Original(copy)) => return Ok(Maker::Copy(copy)),
        Some(Fork::Copy) => {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if getppid() != Some(this) {
                return Err(io::Error::other("its parent process has exited"));
            }
            true
        }
        None => false,
    };
    Ok(Maker::Here(Entrance {
        inner,
        is_in_second,
    }))
}

/// Returns `None` if that is not supported: the process can still join such a group.
fn start_in_second(inner: &Group) -> Option<Fork> {
    let directory = File::open(inner.second_version()?).ok()?;
    fork_into(&directory.into()).ok()
}

/// Waits for the copy, and returns the signal that has killed it, if one has.
pub(super) fn wait(copy: Pid) -> io::Result<Option<i32>> {
    loop {
        match waitpid(Some(copy), WaitOptions::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(ended) => return Ok(ended.and_then(|(_, status)| status.terminating_signal())),
        }
    }
}
