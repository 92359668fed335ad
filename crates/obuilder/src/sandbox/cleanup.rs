//! Removes the containers of a killed process.

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

/// How long a process may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// How often to search for processes that must end.
const MAX_SEARCHES: u32 = 10;

/// Ends the containers that a killed process has left in `state_dir`, and removes their files. If there are none, this
/// lists one directory.
///
/// # Errors
/// If a container cannot be removed.
pub fn cleanup(state_dir: &Path) -> Result<(), SandboxError> {
    let dir = bundle::directory(state_dir);
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries
            .map_err(|source| SandboxError::io(format!("cannot list {}", dir.display()), source))?,
    };
    for entry in entries {
        let entry = entry
            .map_err(|source| SandboxError::io(format!("cannot list {}", dir.display()), source))?;
        // Other programs may have their state here, too.
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
    // Not with the runtime alone: it waits long if the container is frozen, and may be frozen itself.
    groups.kill(id);
    end_makers(id);
    groups.kill(id);
    // Without it, no runtime was started for the bundle.
    if let Ok(program) = fs::read_to_string(bundle.join("runtime"))
        && program != Runtime::BUILTIN
    {
        delete(Path::new(&program), &bundle.join("state"), id);
    }
    groups.end(id, GRACE)?;
    bundle::remove(bundle)
}

/// Ends the runtimes that are still making the container: they would continue during the removal.
fn end_makers(id: &str) {
    for _ in 0..MAX_SEARCHES {
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

/// Returns the processes that have the container's id as an argument.
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

/// Makes the runtime remove its container. If it cannot, the next steps do.
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
        Err(error) => return tracing::debug!("Cannot start {}: {error}", program.display()),
    };
    let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
        .is_ok_and(|process| wait_for_end(process.as_fd(), GRACE));
    if !ended {
        tracing::warn!(
            "Runtime {} did not remove container {id} in time",
            program.display()
        );
        drop(child.kill());
    }
    drop(child.wait());
}
