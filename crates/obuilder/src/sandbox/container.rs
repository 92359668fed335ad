//! One container, from its start to the end of everything in it.

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

/// How much is read at once, and held by the pipe, in bytes: more than the usual, for builds that print a lot.
const PIPE_SIZE: usize = 256 << 10;

/// How often a container is killed that does not end. The runtime may not have made it yet when it first is.
const KILL_ATTEMPTS: u32 = 10;
/// How long it has to end the first time, and at most: twice as long each time.
const FIRST_KILL_GRACE: Duration = Duration::from_millis(20);
const KILL_GRACE: Duration = Duration::from_secs(1);
/// How long a runtime may take to kill a container, before its processes are killed without it.
const RUNTIME_GRACE: Duration = Duration::from_secs(5);
/// How long a pipe may stay open that only the dead have held.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// What a container needs.
pub(super) struct Prepared {
    pub(super) bundle: Bundle,
    pub(super) groups: Arc<Groups>,
    /// A network of its own in the place of the machine's.
    pub(super) outbound: Option<Outbound>,
}

/// A container that was started. Dropping it kills what is in it.
#[derive(Debug)]
pub(super) struct Container {
    runtime: Runtime,
    child: Child,
    /// As long as this is open, the built-in runtime lets its container live.
    control: Option<ChildStdin>,
    /// Where it says how the command ended, if it is the built-in one.
    inbox: Option<builtin::Inbox>,
    bundle: Bundle,
    /// In the hands of others for a moment while it is being ended.
    groups: Arc<Groups>,
    outbound: Option<Outbound>,
    /// Who was killed for lack of memory before it was started.
    memory: MemoryWatch,
    has_ended: bool,
}

impl Container {
    /// Starts the runtime. `program` is where it is. If it does not start, the groups are still there.
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
            |source| SandboxError::io(format!("cannot start {:?}", runtime.name()), source);
        let is_builtin = matches!(runtime, Runtime::Builtin { .. });
        let inbox = is_builtin.then(builtin::Inbox::new).transpose();
        let inbox = inbox.map_err(not_started)?;
        let mut command = match runtime {
            Runtime::Builtin { .. } => Command::new(program),
            Runtime::Program(_) => groups.command(program),
        };
        command
            .args(runtime::run_args(runtime, &bundle, input))
            .args(inbox.as_ref().map(builtin::Inbox::path))
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
                // The signals of a terminal are for us, who then end it.
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
            inbox,
            child,
            bundle,
            groups,
            outbound,
            memory: MemoryWatch::start(),
            has_ended: false,
        };
        // `command` goes here, and with it our copies of the writing end.
        Ok((container, receiver))
    }

    /// Waits for the end of a container on our own terminal.
    pub(super) async fn wait(mut self) -> Result<Exit, SandboxError> {
        let status = self.child.wait().await;
        match self.ended(status).await {
            // Whoever sits at the terminal gets the shell's own status.
            Err(SandboxError::OutOfMemory { exit, .. }) => Ok(exit),
            ended => ended,
        }
    }

    /// Passes on the output until the container ends, or kills it when `cancel` fires or the output cannot be kept.
    pub(super) async fn finish(
        mut self,
        mut pipe: Option<pipe::Receiver>,
        output: &dyn Sink,
        cancel: &CancellationToken,
    ) -> Result<Exit, SandboxError> {
        match self.watch(pipe.as_mut(), output, cancel).await {
            Ok(status) => self.ended(status).await,
            Err(why) => {
                // The runtime may have something to say, and must not wait for somebody to read it.
                let reading = async {
                    drop(copy(pipe.as_mut(), &Nowhere).await);
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

    /// Passes on the output until the container ends. If this fails, it has to be killed.
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

    /// Kills everything in the container, and waits until it has gone.
    async fn kill(&mut self) -> Result<(), SandboxError> {
        drop(self.control.take());
        let mut grace = FIRST_KILL_GRACE;
        for attempt in 0..KILL_ATTEMPTS {
            self.ask_to_kill(attempt).await;
            let ended = tokio::time::timeout(grace, self.child.wait()).await;
            grace = KILL_GRACE.min(grace * 2);
            if let Ok(status) = ended {
                // It may have ended in any way: the runtime might not have got as far as to start it.
                drop(self.ended(status).await);
                return Ok(());
            }
        }
        // The runtime hangs. What it was to look after goes with it.
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

    /// Kills what is in the container's groups, waits for its end, and removes them.
    async fn end_groups(&self) -> io::Result<()> {
        let groups = Arc::clone(&self.groups);
        let ending = tokio::task::spawn_blocking(move || groups.end(RUNTIME_GRACE));
        ending.await.map_err(io::Error::other)?
    }

    /// Asks the runtime to kill the container, and kills its processes if it does not.
    ///
    /// The built-in one has been asked by closing `control`, and does so as soon as there is something to kill: unless it is frozen,
    /// by a command that could reach its own control group.
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
                "Runtime cannot kill container {}, killing its processes instead: {answer:?}",
                self.bundle.id()
            );
            self.groups.kill();
        }
    }

    /// Removes what the runtime may have left, and says how the command ended.
    async fn ended(&mut self, status: io::Result<ExitStatus>) -> Result<Exit, SandboxError> {
        let status = status.map_err(|source| {
            SandboxError::io(format!("cannot wait for {:?}", self.runtime.name()), source)
        })?;
        self.has_ended = true;
        if let Some(outbound) = self.outbound.take() {
            outbound.stop().await;
        }
        let ended = self.outcome(status);
        // Before the groups go, which count.
        let ended = match ended {
            Ok(Exit::Status(0)) => ended,
            ended => self.with_reason(ended, status),
        };
        // Only a runtime that was killed leaves anything: usually, the groups are empty.
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

    /// Returns how the command ended, as the runtime tells it.
    fn outcome(&self, status: ExitStatus) -> Result<Exit, SandboxError> {
        match (&self.inbox, &self.runtime) {
            (Some(inbox), _) => builtin::outcome(inbox, status),
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

    /// Returns how a command ended that did not succeed, with what is the reason, most likely: whatever is said of it otherwise.
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
            // There is nobody to wait for its end. The next start finds what is left.
            self.groups.kill();
            self.bundle.keep();
        }
    }
}

/// Passes on what comes through a pipe, until it ends.
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

/// Takes what nobody wants to know.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Returns something to read that is at its end.
fn empty() -> io::Result<OwnedFd> {
    let (reader, _) = io::pipe()?;
    Ok(reader.into())
}
