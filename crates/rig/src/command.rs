//! Runs other programs with a time limit, and reports why they failed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::wait::wait_for;

/// The folders of system programs, which users of some machines do not have in their PATH.
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

/// Runs `command` with an empty standard input, and returns its output. Kills it after `limit`.
///
/// # Errors
/// When it cannot be started or is still running after `limit`. A failure of the program is not an error here.
pub fn output_within(command: &mut Command, limit: Duration) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    // Both pipes are read meanwhile, because the program would block on a full one.
    let stdout = read_in_background(child.stdout.take());
    let stderr = read_in_background(child.stderr.take());
    let ended = wait_for(&format!("end of {name}"), limit, || Ok(child.try_wait()?));
    let Ok(status) = ended else {
        end(&mut child)?;
        bail!(
            "cannot wait for {name}: it is still running after {} s",
            limit.as_secs()
        );
    };
    Ok(Output {
        status,
        stdout: join(stdout),
        stderr: join(stderr),
    })
}

/// Returns whether `command` succeeds within `limit`. A program that cannot be started does not.
pub fn succeeds_within(command: &mut Command, limit: Duration) -> bool {
    output_within(command, limit).is_ok_and(|output| output.status.success())
}

/// Runs `command` with a limit of one minute, and returns its standard output, trimmed.
///
/// # Errors
/// When it fails. The error ends with its standard error.
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

type BackgroundRead = Option<std::thread::JoinHandle<Vec<u8>>>;

fn read_in_background(pipe: Option<impl std::io::Read + Send + 'static>) -> BackgroundRead {
    let mut pipe = pipe?;
    Some(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // There is no more to read from a broken pipe. The exit status has the reason.
        if pipe.read_to_end(&mut bytes).is_err() {
            bytes.extend_from_slice(b"[pipe broke]");
        }
        bytes
    }))
}

fn join(read: BackgroundRead) -> Vec<u8> {
    read.and_then(|thread| thread.join().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_killed() {
        let limit = Duration::from_millis(100);
        let error = output_within(Command::new("sleep").arg("1000"), limit).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot wait for sleep: it is still running after 0 s"
        );
    }

    #[test]
    fn an_error_contains_the_standard_error() {
        let error = checked(Command::new("ls").arg("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }

    #[test]
    fn output_larger_than_a_pipe_is_complete() {
        let mut command = Command::new("head");
        let output = output_within(
            command.args(["-c", "1000000", "/dev/zero"]),
            Duration::from_secs(20),
        );
        assert_eq!(output.unwrap().stdout.len(), 1_000_000);
    }
}
