//! One program in its process group, from its start to the end of its last descendant.

use std::io::PipeReader;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin};

use super::survivors;
use super::watchdog::Watchdog;
use super::{Cancel, Command, DRAIN_GRACE, Label, LogError, ProcessError, STOP_LIMIT, TERM_GRACE};

/// Waits for a line on its standard input, and then becomes the program.
///
/// When the line comes, the watchdog knows the group; if the worker dies before that, the line never comes. So at no
/// moment can a program outlive the worker.
///
/// The first argument is the program's umask, or empty. Those up to `--` are the files that put a process into its
/// control groups, if it has some.
const GATE: &str = r#"read -r go || exit; [ -z "$1" ] || umask "$1"; shift
while [ "$1" != -- ]; do echo 0 > "$1" || exit; shift; done; shift; exec "$@""#;

/// The capacity of a pipe, in bytes: more than the usual 64 KiB, for builds that print a lot.
const PIPE_SIZE: usize = 256 << 10;

/// The pipes for the two outputs of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outputs {
    /// One pipe for both, so that their order is kept.
    Merged,
    Separate,
}

/// The reading ends of a program's outputs.
pub(super) struct Output {
    pub(super) out: pipe::Receiver,
    /// Absent if merged with `out`.
    pub(super) err: Option<pipe::Receiver>,
}

/// A started program and its descendants. Dropping this kills them.
pub(super) struct Group {
    child: Child,
    id: Pid,
    watchdog: Rc<Watchdog>,
    /// The program's standard input, and the data for it.
    input: Option<(ChildStdin, Vec<u8>)>,
}

/// Starts a program, which waits at the gate until [`Group::finish`] is called.
pub(super) fn start(
    command: &Command,
    outputs: Outputs,
    watchdog: &Rc<Watchdog>,
) -> Result<(Group, Output), String> {
    let program = command.find_program().ok_or("no such program in PATH")?;
    if let Err(error) = std::fs::metadata(&program) {
        return Err(error.to_string());
    }
    let describe = |error: std::io::Error| error.to_string();
    let (out_reader, out_writer) = std::io::pipe().map_err(describe)?;
    let (err_reader, err_writer) = match outputs {
        Outputs::Merged => (None, out_writer.try_clone().map_err(describe)?),
        Outputs::Separate => {
            let (reader, writer) = std::io::pipe().map_err(describe)?;
            (Some(reader), writer)
        }
    };
    // The command holds copies of the writing ends, and must be dropped before the pipes can end.
    let mut gate = tokio::process::Command::new("/bin/sh");
    if let Some(dir) = command.dir() {
        gate.current_dir(dir);
    }
    let mut child = gate
        .args(["-c", GATE, "sh", command.umask().unwrap_or_default()])
        .args(command.entrances())
        .arg("--")
        .args(command.user_change())
        .arg(&program)
        .args(command.args())
        .env_clear()
        .envs(command.environment().iter())
        .stdin(Stdio::piped())
        .stdout(out_writer)
        .stderr(err_writer)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(describe)?;
    let id = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let id = id.ok_or("it has no process id")?;
    watchdog.guard(id);
    let input = child.stdin.take().map(|stdin| {
        let mut text = b"go\n".to_vec();
        text.extend_from_slice(command.input());
        (stdin, text)
    });
    let group = Group {
        child,
        id,
        watchdog: Rc::clone(watchdog),
        input,
    };
    let receive = |pipe| receiver(pipe).map_err(describe);
    let err = err_reader.map(receive).transpose()?;
    Ok((
        group,
        Output {
            out: receive(out_reader)?,
            err,
        },
    ))
}

fn receiver(pipe: PipeReader) -> std::io::Result<pipe::Receiver> {
    // Best effort: an unprivileged user may have used up what the system grants.
    if let Err(error) = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_SIZE) {
        tracing::debug!("Cannot enlarge a pipe: {error}");
    }
    pipe::Receiver::from_owned_fd(OwnedFd::from(pipe))
}

impl Group {
    /// Returns the id of the process group.
    pub(super) fn id(&self) -> Pid {
        self.id
    }

    /// Opens the gate for the program and waits for its end, or stops it when `cancel` fires.
    ///
    /// `reading` reads its output, and is polled until the program and the pipe have ended.
    pub(super) async fn finish(
        mut self,
        label: &Label,
        cancel: &Cancel,
        reading: impl Future<Output = Result<(), LogError>>,
    ) -> Result<(), ProcessError> {
        let input = self.input.take();
        let feeding = async move {
            if let Some((mut stdin, text)) = input {
                // A program need not read its input. If the gate cannot be opened, the program ends by itself.
                if let Err(error) = stdin.write_all(&text).await {
                    tracing::debug!("{label} did not read its input: {error}");
                }
            }
        };
        let working = async { tokio::join!(feeding, reading).1 };
        let mut working = std::pin::pin!(working);
        let mut read = None;
        let status = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    self.stop(working.as_mut(), read.is_some()).await;
                    return Err(ProcessError::Cancelled);
                }
                result = working.as_mut(), if read.is_none() => match result {
                    Ok(()) => read = Some(()),
                    // Its output is not read any more, so it is stopped.
                    Err(error) => {
                        self.stop(std::future::pending(), true).await;
                        return Err(error.into());
                    }
                },
                status = self.child.wait() => break status,
            }
        };
        // Processes that are left in the group would write to a log that is about to be closed.
        self.signal(Signal::KILL);
        if read.is_none() {
            match tokio::time::timeout(DRAIN_GRACE, working).await {
                Ok(result) => result?,
                Err(_) => tracing::warn!(
                    "{label} has ended, but a descendant still holds its output open"
                ),
            }
        }
        outcome(
            label,
            status.map_err(|error| failed_to_wait(label, &error))?,
        )
    }

    /// Stops the program: with SIGTERM, then with SIGKILL. Reads its last output meanwhile.
    async fn stop(&mut self, working: impl Future<Output = Result<(), LogError>>, read: bool) {
        self.signal(Signal::TERM);
        let last_output = async {
            if !read {
                // Errors do not matter any more: the job has been cancelled.
                drop(working.await);
            }
        };
        let ended = async { tokio::join!(self.child.wait(), last_output).0 };
        let ended = tokio::time::timeout(TERM_GRACE, ended).await;
        self.signal(Signal::KILL);
        if ended.is_err() {
            match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
                Ok(Ok(_)) | Err(_) => {}
                Ok(Err(error)) => tracing::warn!("Cannot wait for process {:?}: {error}", self.id),
            }
        }
        // When this returns, the program has stopped.
        let id = self.id;
        let left = survivors::end(move || survivors::in_group(id), STOP_LIMIT).await;
        if !left.is_empty() {
            tracing::warn!(
                "Cannot stop process group {}: {} of its processes still run",
                id.as_raw_pid(),
                left.len()
            );
        }
    }

    fn signal(&self, signal: Signal) {
        // Usually the group has ended by now.
        if let Err(error) = kill_process_group(self.id, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!("Cannot signal process group {:?}: {error}", self.id);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.watchdog.release(self.id);
    }
}

fn failed_to_wait(label: &Label, error: &std::io::Error) -> ProcessError {
    ProcessError::NotStarted {
        label: label.clone(),
        program: String::new(),
        reason: error.to_string(),
    }
}

fn outcome(label: &Label, status: ExitStatus) -> Result<(), ProcessError> {
    let label = label.clone();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(ProcessError::Exit { label, code }),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            Err(ProcessError::Signal {
                label,
                signal: signal_name(signal),
            })
        }
    }
}

/// Returns the name of a signal that can end a build.
fn signal_name(number: i32) -> String {
    let named = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
    ];
    let name = named
        .iter()
        .find(|(signal, _)| signal.as_raw() == number)
        .map(|(_, name)| *name);
    name.map_or_else(|| format!("number {number}"), str::to_owned)
}
