//! Running other programs to their end, with a limit, and finding out why they failed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::wait::wait_for;

/// Where system programs are, on machines whose users do not have these folders in their PATH.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Returns the first program called `name` in PATH, or in the folders of system programs.
pub fn find_program(name: &str) -> Option<PathBuf> {
    every_program(name).into_iter().next()
}

/// Returns every program called `name`, in the order of PATH.
pub(crate) fn every_program(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .filter(|file| is_program(file))
        .collect()
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Runs `command` with nothing to read, and returns what it wrote; kills it when `limit` has passed.
///
/// # Errors
/// When it cannot be started or is still running after `limit`. How it ended is for the caller to judge.
pub fn output_within(command: &mut Command, limit: Duration) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    // Both pipes are drained while we wait, or a talkative program would block on a full one.
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let ended = wait_for(&format!("end of {name}"), limit, || Ok(child.try_wait()?));
    let Ok(status) = ended else {
        end(&mut child)?;
        bail!("{name} was still running after {} s", limit.as_secs());
    };
    Ok(Output {
        status,
        stdout: gather(stdout),
        stderr: gather(stderr),
    })
}

/// Returns whether `command` ends well within `limit`. A program that cannot be started does not.
pub fn succeeds_within(command: &mut Command, limit: Duration) -> bool {
    output_within(command, limit).is_ok_and(|output| output.status.success())
}

/// Runs `command` within a minute and returns its standard output, trimmed.
///
/// # Errors
/// When it fails; the error ends with what the program wrote to say why.
pub fn checked(command: &mut Command) -> Result<String> {
    let output = output_within(command, Duration::from_secs(60))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("{:?} failed ({}): {}", command, output.status, why.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn end(child: &mut Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

type Drained = Option<std::thread::JoinHandle<Vec<u8>>>;

fn drain(pipe: Option<impl std::io::Read + Send + 'static>) -> Drained {
    let mut pipe = pipe?;
    Some(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks has given all it will; the program's exit status tells the rest.
        if pipe.read_to_end(&mut bytes).is_err() {
            bytes.extend_from_slice(b"[pipe broke]");
        }
        bytes
    }))
}

fn gather(drained: Drained) -> Vec<u8> {
    drained
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_killed() {
        let limit = Duration::from_millis(100);
        let error = output_within(Command::new("sleep").arg("1000"), limit).unwrap_err();
        assert_eq!(error.to_string(), "sleep was still running after 0 s");
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = checked(Command::new("ls").arg("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }

    #[test]
    fn output_larger_than_a_pipe_arrives_whole() {
        let mut command = Command::new("head");
        let output = output_within(
            command.args(["-c", "1000000", "/dev/zero"]),
            Duration::from_secs(20),
        );
        assert_eq!(output.unwrap().stdout.len(), 1_000_000);
    }
}
