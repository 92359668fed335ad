//! Removing what the containers of a killed process have left.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::bundle::{self, io_error};
use super::{Runtime, SandboxError, cgroup, runtime};

/// How long something may take to end.
const GRACE: Duration = Duration::from_secs(10);

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
        entries => entries.map_err(|source| io_error(format!("cannot list {dir:?}"), source))?,
    };
    for entry in entries {
        let entry = entry.map_err(|source| io_error(format!("cannot list {dir:?}"), source))?;
        // Other builders have kept their state here too.
        if let Some(id) = entry.file_name().to_str()
            && id.starts_with(bundle::PREFIX)
        {
            remove(&entry.path(), id).map_err(|source| {
                io_error(
                    format!("cannot remove the left-over container {id}"),
                    source,
                )
            })?;
        }
    }
    Ok(())
}

fn remove(bundle: &Path, id: &str) -> io::Result<()> {
    tracing::info!("removing container {id}, left over from a process that was killed");
    // Not left to the runtime alone: it waits for long when somebody has frozen what it is to kill.
    cgroup::kill(id);
    // A bundle without it is one that no runtime was ever told of.
    if let Ok(program) = fs::read_to_string(bundle.join("runtime"))
        && program != Runtime::BUILTIN
    {
        delete(Path::new(&program), &bundle.join("state"), id);
    }
    cgroup::end(id, GRACE);
    cgroup::remove(id)?;
    bundle::remove(bundle)
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
        Err(error) => return tracing::debug!("cannot start {program:?}: {error}"),
    };
    let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
        .is_ok_and(|process| cgroup::wait_for_end(process.as_fd(), GRACE));
    if !ended {
        tracing::warn!("{program:?} does not remove container {id}");
        drop(child.kill());
    }
    drop(child.wait());
}
