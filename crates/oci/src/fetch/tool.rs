//! Runs `docker` and credential helpers.

use std::ffi::OsString;
use std::io::PipeReader;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::FetchError;
use super::log::plain;

/// The most of a program's output that is kept, in bytes.
const MAX_ANSWER: u64 = 4 << 20;

/// The longest reason that is taken from a program's output, in characters.
const MAX_REASON: usize = 500;

/// A program to run, with its whole environment.
#[derive(Clone)]
pub(super) struct Tool {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
}

/// The output and result of a program.
pub(super) struct Answer {
    pub(super) succeeded: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Answer {
    /// Returns the reason for its failure: the last line that it printed to stderr.
    pub(super) fn reason(&self) -> String {
        reason(&self.stderr)
    }
}

pub(super) fn reason(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output);
    let line = output
        .trim()
        .lines()
        .last()
        .unwrap_or("it printed no reason");
    plain(line).chars().take(MAX_REASON).collect()
}

impl Tool {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            // A process group of its own, so that Ctrl-C does not reach it: it is stopped in order.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    fn not_started(&self, error: &std::io::Error) -> String {
        format!("cannot run {}: {error}", self.program.display())
    }

    /// Runs it with `input` on its standard input, and returns its output.
    ///
    /// # Errors
    /// If it cannot be started, or has not ended within `limit`; it is then killed.
    pub(super) async fn ask(&self, input: &[u8], limit: Duration) -> Result<Answer, String> {
        let mut command = self.command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feeding = async move {
            if let Some(mut stdin) = stdin {
                // It need not read it.
                drop(stdin.write_all(input).await);
            }
        };
        let all = async {
            let ((), out, err, status) =
                tokio::join!(feeding, gather(stdout), gather(stderr), child.wait());
            Ok(Answer {
                succeeded: status.map_err(|error| self.not_started(&error))?.success(),
                stdout: out,
                stderr: err,
            })
        };
        let late = || {
            format!(
                "{} did not answer within {} s",
                self.program.display(),
                limit.as_secs()
            )
        };
        tokio::time::timeout(limit, all).await.map_err(|_| late())?
    }

    /// Runs it without a time limit, and returns its output.
    ///
    /// # Errors
    /// If it cannot be started, or `cancel` fires; it is then killed.
    pub(super) async fn run(&self, cancel: &CancellationToken) -> Result<Answer, FetchError> {
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = |error: std::io::Error| FetchError::Failed(self.not_started(&error));
        let mut child = command.spawn().map_err(failed)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let all = async { tokio::join!(gather(stdout), gather(stderr), child.wait()) };
        let (stdout, stderr, status) = tokio::select! {
            () = cancel.cancelled() => return Err(FetchError::Cancelled),
            all = all => all,
        };
        Ok(Answer {
            succeeded: status.map_err(failed)?.success(),
            stdout,
            stderr,
        })
    }

    /// Starts it, and returns the pipe to which it writes.
    pub(super) fn stream(&self) -> Result<(Child, PipeReader), FetchError> {
        let failed = |error: std::io::Error| FetchError::Failed(self.not_started(&error));
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped());
        // The command holds our copy of the writing end, and is gone after this.
        let child = command.spawn().map_err(failed)?;
        Ok((child, reader))
    }
}

/// Waits for what [`Tool::stream`] started.
pub(super) async fn wait(child: &mut Child) -> Result<(), FetchError> {
    let stderr = child.stderr.take();
    let (stderr, status) = tokio::join!(gather(stderr), child.wait());
    check_exit(status, &stderr)
}

fn check_exit(status: std::io::Result<ExitStatus>, stderr: &[u8]) -> Result<(), FetchError> {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(FetchError::Failed(reason(stderr))),
        Err(error) => Err(FetchError::Failed(error.to_string())),
    }
}

/// Reads to the end, and keeps the beginning.
async fn gather(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        // If reading fails, the exit status shows whether the output is complete.
        drop((&mut pipe).take(MAX_ANSWER).read_to_end(&mut kept).await);
        drop(tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await);
    }
    kept
}
