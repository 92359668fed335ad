//! Asking another program, and not for ever.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// How long a program may take to answer. They all answer from memory; one that needs longer is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// There is no such program in the PATH.
    Absent,
    /// It did not answer.
    Silent,
    /// It said no, with its last words.
    Refused(String),
    /// It said this.
    Said(String),
}

/// Runs a program that only reads.
pub(super) async fn ask(program: &str, args: &[&str]) -> Answer {
    let mut command = Command::new(program);
    command
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Err(_) => Answer::Silent,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Answer::Absent,
        Ok(Err(error)) => Answer::Refused(error.to_string()),
        Ok(Ok(output)) if output.status.success() => {
            // Empty lines at the beginning are answers, too.
            let words = String::from_utf8_lossy(&output.stdout);
            Answer::Said(words.trim_end().to_owned())
        }
        Ok(Ok(output)) => {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Answer::Refused(if words.is_empty() {
                format!("it ended with {}", output.status)
            } else {
                words
            })
        }
    }
}
