//! Runs another program with a time limit.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The time limit for an answer. All these programs answer from memory; one that takes longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is no such program in the PATH.
    Absent,
    /// It did not answer in time.
    TimedOut,
    /// It failed, with this error.
    Failed(String),
    /// It printed this.
    Printed(String),
}

/// Runs a program that only reads.
pub(super) async fn ask(program: &str, args: &[&str]) -> Answer {
    let mut command = Command::new(program);
    command
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(TIMEOUT, command.output()).await {
        Err(_) => Answer::TimedOut,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Answer::Absent,
        Ok(Err(error)) => Answer::Failed(error.to_string()),
        Ok(Ok(output)) if output.status.success() => {
            // Empty lines at the beginning are part of the answer.
            let message = String::from_utf8_lossy(&output.stdout);
            Answer::Printed(message.trim_end().to_owned())
        }
        Ok(Ok(output)) => {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Answer::Failed(if message.is_empty() {
                format!("it exited with {}", output.status)
            } else {
                message
            })
        }
    }
}
