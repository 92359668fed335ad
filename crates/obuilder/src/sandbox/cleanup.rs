//! Removing what the containers of a killed process have left.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cgroup::wait_for_end;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::bundle;
use super::groups::Record;
use super::{Runtime, SandboxError, runtime};

/// How long something may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// How often we look for processes that are to end.
const MOST_LOOKS: u32 = 10;

/// Ends the containers that a killed process has left in `state_dir`, and removes what is there of them.
///
/// When there is nothing, this lists one directory.
///
/// # Errors
/// When something cannot be removed.
pub fn cleanup(state_dir: &Path) -> Result<(), SandboxError> {
    let dir = bundle::directory(state_dir);
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => {
            entries.map_err(|source| SandboxError::io(format!("cannot list {dir:?}"), source))?
        }
    };
    for entry in entries {
        let entry =
            entry.map_err(|source| SandboxError::io(format!("cannot list {dir:?}"), source))?;
        // Other builders have kept their state here too.
        if let Some(id) = entry.file_name().to_str()
            && id.starts_with(bundle::PREFIX)
        {
            remove(&entry.path(), id).map_err(|source| {
                SandboxError::io(
                    format!("cannot remove the left-over container {id}"),
                    source,
                )
            })?;
        }
    }
    Ok(())
}

fn remove(bundle: &Path, id: &str) -> io::Result<()> {
    tracing::info!("Removing container {id}: left over from a process that was killed");
    let groups = Record::read(bundle)?;
    // Not left to the runtime alone: it waits for long when somebody has frozen what it is to kill. It may be frozen itself.
    groups.kill(id);
    end_makers(id);
    groups.kill(id);
    // A bundle without it is one that no runtime was ever told of.
    if let Ok(program) = fs::read_to_string(bundle.join("runtime"))
        && program != Runtime::BUILTIN
    {
        delete(Path::new(&program), &bundle.join("state"), id);
    }
    groups.end(id, GRACE)?;
    bundle::remove(bundle)
}

/// Ends the runtimes that are still making the container: they do not know yet that nobody waits for it, and would go on
/// while we remove it.
fn end_makers(id: &str) {
    for _ in 0..MOST_LOOKS {
        let makers = makers(id);
        if makers.is_empty() {
            return;
        }
        for pid in makers {
            if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
                && pidfd_send_signal(&process, Signal::KILL).is_ok()
            {
                wait_for_end(process.as_fd(), GRACE);
            }
        }
    }
}

/// Returns the processes that have the container's name as an argument.
fn makers(id: &str) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let has_argument = |entry: &fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|word| word == id.as_bytes())
    };
    let makers = entries.filter(has_argument);
    makers
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Has the runtime remove its container. If it cannot, what follows will do.
fn delete(program: &Path, state: &Path, id: &str) {
    let child = Command::new(program)
        .args(runtime::delete_args(state, id))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return tracing::debug!("Cannot start {program:?}: {error}"),
    };
    let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
        .is_ok_and(|process| wait_for_end(process.as_fd(), GRACE));
    if !ended {
        tracing::warn!("Runtime {program:?} did not remove container {id} in time");
        drop(child.kill());
    }
    drop(child.wait());
}
