//! One container, from its start to the end of all its processes.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cgroup::MemoryWatch;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;

use super::bundle::Bundle;
use super::groups::Groups;
use super::outbound::Outbound;
use super::runtime::{self, Runtime};
use super::stdio::{Input, Output};
use super::{Exit, LimitReached, SandboxError, builtin, failure};
use crate::Sink;

/// Size of a read, and of the pipe, in bytes. More than the default, for builds with much output.
const PIPE_SIZE: usize = 256 << 10;

/// How often to kill a container that does not end. The runtime may not have created it yet at the first attempt.
const KILL_ATTEMPTS: u32 = 10;
/// How long it has to end after the first attempt, and at most. The time doubles with each attempt.
const FIRST_KILL_GRACE: Duration = Duration::from_millis(20);
const KILL_GRACE: Duration = Duration::from_secs(1);
/// How long a runtime may take to kill a container, before its processes are killed without it.
const RUNTIME_GRACE: Duration = Duration::from_secs(5);
/// How long a pipe may stay open after all processes of the container have ended.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// The parts of a container that are prepared before its start.
pub(super) struct Prepared {
    pub(super) bundle: Bundle,
    pub(super) groups: Arc<Groups>,
    /// A network of its own in the place of the machine's.
    pub(super) outbound: Option<Outbound>,
}

/// A container that was started. Dropping it kills its processes.
#[derive(Debug)]
pub(super) struct Container {
    runtime: Runtime,
    child: Child,
    /// The built-in runtime kills its container when this is closed.
    control: Option<ChildStdin>,
    /// The report of the built-in runtime about the end of the command.
    report_file: Option<builtin::ReportFile>,
    bundle: Bundle,
    /// Shared with a thread for a moment while it is being ended.
    groups: Arc<Groups>,
    outbound: Option<Outbound>,
    /// The processes that were killed for lack of memory before it was started.
    memory: MemoryWatch,
    has_ended: bool,
}

impl Container {
    /// Starts the runtime, whose path is `program`. If it does not start, the groups still exist.
    pub(super) fn start(
        runtime: &Runtime,
        program: &Path,
        prepared: Prepared,
        input: Input,
        output: Output,
    ) -> Result<(Self, Option<pipe::Receiver>), SandboxError> {
        let Prepared {
            bundle,
            groups,
            outbound,
        } = prepared;
        let not_started =
            |source| SandboxError::io(format!("cannot start {}", runtime.name().display()), source);
        let is_builtin = matches!(runtime, Runtime::Builtin { .. });
        let report_file = is_builtin.then(builtin::ReportFile::new).transpose();
        let report_file = report_file.map_err(not_started)?;
        let mut command = match runtime {
            Runtime::Builtin { .. } => Command::new(program),
            Runtime::Program(_) => groups.command(program),
        };
        command
            .args(runtime::run_args(runtime, &bundle, input))
            .args(report_file.as_ref().map(builtin::ReportFile::path))
            .env_clear()
            .current_dir(bundle.dir())
            .stdin(match input {
                Input::Empty if is_builtin => Stdio::piped(),
                Input::Empty => Stdio::from(empty().map_err(not_started)?),
                Input::Inherited | Input::Terminal => Stdio::inherit(),
            })
            .kill_on_drop(true);
        let receiver = match output {
            Output::Inherited => None,
            Output::Piped => {
                let (reader, writer) = io::pipe().map_err(not_started)?;
                let second = writer.try_clone().map_err(not_started)?;
                // This process handles the signals of the terminal, and then ends the container.
                command.stdout(writer).stderr(second).process_group(0);
                // Best effort: without privileges, the system's limit may be lower.
                if let Err(error) = rustix::pipe::fcntl_setpipe_size(&reader, PIPE_SIZE) {
                    tracing::debug!("Cannot enlarge a pipe: {error}");
                }
                let reader = OwnedFd::from(reader);
                Some(pipe::Receiver::from_owned_fd(reader).map_err(not_started)?)
            }
        };
        let mut child = command.spawn().map_err(not_started)?;
        let container = Self {
            runtime: runtime.clone(),
            control: child.stdin.take(),
            report_file,
            child,
            bundle,
            groups,
            outbound,
            memory: MemoryWatch::start(),
            has_ended: false,
        };
        // `command` is dropped here, and with it our copies of the writing end.
        Ok((container, receiver))
    }

    /// Waits for the end of a container on the terminal of this process.
    pub(super) async fn wait(mut self) -> Result<Exit, SandboxError> {
        let status = self.child.wait().await;
        match self.ended(status).await {
            // The user at the terminal gets the shell's own status.
            Err(SandboxError::OutOfMemory { exit, .. }) => Ok(exit),
            ended => ended,
        }
    }

    /// Passes on the output until the container ends. Kills it when `cancel` fires or the output cannot be written.
    pub(super) async fn finish(
        mut self,
        mut pipe: Option<pipe::Receiver>,
        output: &dyn Sink,
        cancel: &CancellationToken,
    ) -> Result<Exit, SandboxError> {
        match self.watch(pipe.as_mut(), output, cancel).await {
            Ok(status) => self.ended(status).await,
            Err(why) => {
                // The runtime may write errors, and must not block on the pipe.
                let reading = async {
                    drop(copy(pipe.as_mut(), &DiscardSink).await);
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    killed = self.kill() => killed?,
                    () = reading => {}
                }
                Err(why)
            }
        }
    }

    /// Passes on the output until the container ends. If this fails, the caller kills it.
    async fn watch(
        &mut self,
        pipe: Option<&mut pipe::Receiver>,
        output: &dyn Sink,
        cancel: &CancellationToken,
    ) -> Result<io::Result<ExitStatus>, SandboxError> {
        let mut copying = std::pin::pin!(copy(pipe, output));
        let mut copied = false;
        let status = loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(SandboxError::Cancelled),
                result = copying.as_mut(), if !copied => {
                    result.map_err(SandboxError::Log)?;
                    copied = true;
                }
                status = self.child.wait() => break status,
            }
        };
        if !copied {
            match tokio::time::timeout(DRAIN_GRACE, copying).await {
                Ok(result) => result.map_err(SandboxError::Log)?,
                Err(_) => tracing::warn!(
                    "Container {} has ended, but a process still holds its output open",
                    self.bundle.id()
                ),
            }
        }
        Ok(status)
    }

    /// Kills all processes of the container, and waits for their end.
    async fn kill(&mut self) -> Result<(), SandboxError> {
        drop(self.control.take());
        let mut grace = FIRST_KILL_GRACE;
        for attempt in 0..KILL_ATTEMPTS {
            self.ask_to_kill(attempt).await;
            let ended = tokio::time::timeout(grace, self.child.wait()).await;
            grace = KILL_GRACE.min(grace * 2);
            if let Ok(status) = ended {
                // Its exit does not matter: the runtime may not even have started the command.
                drop(self.ended(status).await);
                return Ok(());
            }
        }
        // The runtime hangs: it is killed, together with its container.
        let killed = self.child.start_kill();
        let waited = tokio::time::timeout(RUNTIME_GRACE, self.child.wait()).await;
        let ended = self.end_groups().await;
        if killed.is_ok() && waited.is_ok() && ended.is_ok() {
            self.has_ended = true;
            return Ok(());
        }
        Err(SandboxError::Stuck(format!(
            "cannot kill container {}: {}",
            self.bundle.id(),
            failure::state_of(self.child.id(), &self.groups.members()),
        )))
    }

    /// Kills the processes in the container's groups, waits for their end, and removes the groups.
    async fn end_groups(&self) -> io::Result<()> {
        let groups = Arc::clone(&self.groups);
        let ending = tokio::task::spawn_blocking(move || groups.end(RUNTIME_GRACE));
        ending.await.map_err(io::Error::other)?
    }

    /// Asks the runtime to kill the container, and kills its processes if it does not.
    ///
    /// The built-in runtime kills its container because `control` is closed, as soon as there is one. It cannot if a
    /// command has frozen it through its own control group.
    async fn ask_to_kill(&self, attempt: u32) {
        let Runtime::Program(program) = &self.runtime else {
            if attempt > 0 {
                self.groups.kill();
            }
            return;
        };
        let asking = Command::new(program)
            .args(runtime::kill_args(&self.bundle.state(), self.bundle.id()))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .status();
        let answer = tokio::time::timeout(RUNTIME_GRACE, asking).await;
        if !matches!(&answer, Ok(Ok(status)) if status.success()) {
            tracing::debug!(
                "The runtime cannot kill container {}, killing its processes instead: {answer:?}",
                self.bundle.id()
            );
            self.groups.kill();
        }
    }

    /// Removes files of the runtime, and returns how the command ended.
    async fn ended(&mut self, status: io::Result<ExitStatus>) -> Result<Exit, SandboxError> {
        let status = status.map_err(|source| {
            SandboxError::io(
                format!("cannot wait for {}", self.runtime.name().display()),
                source,
            )
        })?;
        self.has_ended = true;
        if let Some(outbound) = self.outbound.take() {
            outbound.stop().await;
        }
        let ended = self.outcome(status);
        // Before the groups are removed, which have the counters.
        let ended = match ended {
            Ok(Exit::Status(0)) => ended,
            ended => self.with_reason(ended, status),
        };
        // The groups are empty unless the runtime was killed.
        let removed = match self.groups.remove() {
            Ok(()) => Ok(()),
            Err(_) => self.end_groups().await,
        };
        if let Err(error) = removed {
            tracing::warn!(
                "Container {} left a control group behind: {error}",
                self.bundle.id()
            );
            self.bundle.keep();
        }
        ended
    }

    /// Returns how the command ended, as the runtime reports it.
    fn outcome(&self, status: ExitStatus) -> Result<Exit, SandboxError> {
        match (&self.report_file, &self.runtime) {
            (Some(report_file), _) => builtin::outcome(report_file, status),
            (None, runtime) => match (status.code(), status.signal()) {
                (Some(0), _) => Ok(Exit::Status(0)),
                (Some(code), _) if self.bundle.pid_file().exists() => Ok(Exit::Status(code)),
                (code, signal) => Err(SandboxError::NotStarted(failure::reason(
                    runtime.name(),
                    &self.bundle.log(),
                    code,
                    signal,
                ))),
            },
        }
    }

    /// Returns how a failed command ended, with the most likely reason.
    fn with_reason(
        &self,
        ended: Result<Exit, SandboxError>,
        status: ExitStatus,
    ) -> Result<Exit, SandboxError> {
        if let Some(reached) = LimitReached::of(self.groups.hits(), self.groups.limits()) {
            return Err(reached.into());
        }
        let runtime = status.signal().map(Exit::Signal);
        let exit = ended.as_ref().ok().copied().or(runtime);
        let was_killed = exit.is_some_and(Exit::is_killed);
        let group = self.groups.record().outer();
        match (self.memory.found(Some(&group), was_killed), ended) {
            (None, ended) => ended.map_err(failure::with_advice),
            (Some(kill), Ok(exit)) => Err(SandboxError::OutOfMemory { exit, kill }),
            (Some(kill), Err(SandboxError::NotStarted(why))) => {
                Err(SandboxError::NotStarted(format!("{why}: {kill}")))
            }
            (Some(_), Err(error)) => Err(error),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.has_ended {
            // It cannot be waited for here. The next start removes remaining files.
            self.groups.kill();
            self.bundle.keep();
        }
    }
}

/// Passes on the bytes of a pipe, until it ends.
async fn copy(pipe: Option<&mut pipe::Receiver>, output: &dyn Sink) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; PIPE_SIZE];
    loop {
        let length = pipe.read(&mut buffer).await?;
        match buffer.get(..length) {
            Some([]) | None => return Ok(()),
            Some(bytes) => output.write(bytes)?,
        }
    }
}

/// Discards all output.
struct DiscardSink;

impl Sink for DiscardSink {
    fn write(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Returns an empty file for reading.
fn empty() -> io::Result<OwnedFd> {
    let (reader, _) = io::pipe()?;
    Ok(reader.into())
}
