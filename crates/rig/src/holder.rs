//! Processes and other resources that cannot outlive the program that requested them.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::name::Name;
use crate::protocol::{Isolation, Reply, Request, Start};
use crate::wait::wait_for;

/// The time limit for a reaper's cleanup. Its own limits are shorter.
const CLEANUP_LIMIT: Duration = Duration::from_secs(90);

/// Holds a directory, processes, and other resources that must be cleaned up.
///
/// All of it ends when this is dropped, or when the program that holds it ends, even if it is killed. A separate
/// process, the reaper, does the cleanup: the program `rig`, which is searched for beside the running one.
#[derive(Debug)]
pub struct Holder {
    folder: PathBuf,
    reaper: Mutex<Connection>,
}

#[derive(Debug)]
struct Connection {
    process: Child,
    /// `None` once it is closed, which makes the reaper clean up.
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

/// A process that a [`Holder`] has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(i32);

impl Process {
    /// Returns its process id.
    pub fn id(&self) -> i32 {
        self.0
    }
}

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It has not ended.
    Running,
    /// It ended with this code; as in a shell, 128 + N when signal N ended it.
    Ended(i32),
}

impl Holder {
    /// Starts a holder with a directory of its own in the system's directory for temporary files.
    ///
    /// # Errors
    /// When the program `rig` is not built, or cannot create the directory.
    pub fn start(name: &Name) -> Result<Self> {
        let rig = rig_program()?;
        let mut process = Command::new(&rig)
            .arg("hold")
            .arg(std::env::temp_dir())
            .arg(name.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", rig.display()))?;
        let requests = process.stdin.take();
        let stdout = process
            .stdout
            .take()
            .context("cannot read from the reaper: it has no pipe")?;
        let mut reaper = Connection {
            process,
            requests,
            replies: BufReader::new(stdout),
        };
        let Reply::Folder(folder) = reaper.reply()? else {
            bail!("cannot start the reaper: it has not created its directory")
        };
        Ok(Self {
            folder,
            reaper: Mutex::new(reaper),
        })
    }

    /// Returns the directory, which is removed with this holder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns a directory in it for the temporary files of programs that may crash or be killed.
    pub fn temporary_folder(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// Starts `command`, which will not outlive this holder. Its output goes to the file `log` in the directory.
    ///
    /// It has the environment of this program, with the changes made to `command` and [`temporary_folder`] as TMPDIR.
    /// Its standard input is empty.
    ///
    /// [`temporary_folder`]: Self::temporary_folder
    ///
    /// # Errors
    /// When it cannot be started. If its program does not exist, that is in its log and its exit code, not here.
    pub fn run(&self, command: &Command, log: &str) -> Result<Process> {
        self.run_as(command, log, Isolation::None)
    }

    /// Like [`run`](Self::run), as root, with process ids and mounts of its own, all of which the kernel ends together.
    ///
    /// # Errors
    /// As for `run`.
    pub fn run_private(&self, command: &Command, log: &str) -> Result<Process> {
        self.run_as(command, log, Isolation::Private)
    }

    /// Like [`run_private`](Self::run_private), with a network of its own, which is connected to no other and to which
    /// no rules or addresses of the machine apply.
    ///
    /// # Errors
    /// As for `run`.
    pub fn run_offline(&self, command: &Command, log: &str) -> Result<Process> {
        self.run_as(command, log, Isolation::Offline)
    }

    fn run_as(&self, command: &Command, log: &str, isolation: Isolation) -> Result<Process> {
        let temporary = (
            "TMPDIR".to_owned(),
            self.temporary_folder().display().to_string(),
        );
        let changes = command
            .get_envs()
            .filter_map(|(k, v)| Some((text(k), text(v?))));
        let start = Start {
            argv: std::iter::once(command.get_program())
                .chain(command.get_args())
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            env: std::iter::once(temporary).chain(changes).collect(),
            folder: command.get_current_dir().unwrap_or(&self.folder).to_owned(),
            log: self.log(log),
            isolation,
        };
        match self.ask(&Request::Start(start))? {
            Reply::Started { pid } => Ok(Process(pid)),
            other => bail!("unexpected reply of the reaper: {other:?}"),
        }
    }

    /// Returns the path of a process's output.
    pub fn log(&self, log: &str) -> PathBuf {
        self.folder.join(log)
    }

    /// Sends `signal` to a process, unless it has ended.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn signal(&self, process: Process, signal: Signal) -> Result<()> {
        self.ask(&Request::Signal {
            pid: process.0,
            signal: signal.as_raw(),
        })
        .map(drop)
    }

    /// Returns whether a process still runs.
    ///
    /// # Errors
    /// When the reaper has died.
    pub fn state(&self, process: Process) -> Result<ProcessState> {
        match self.ask(&Request::State { pid: process.0 })? {
            Reply::State { exit: None } => Ok(ProcessState::Running),
            Reply::State { exit: Some(code) } => Ok(ProcessState::Ended(code)),
            other => bail!("unexpected reply of the reaper: {other:?}"),
        }
    }

    /// Waits for a process to end, and returns its exit code.
    ///
    /// # Errors
    /// When it has not ended within `limit`.
    pub fn wait(&self, process: Process, limit: Duration) -> Result<i32> {
        wait_for("end of the process", limit, || {
            match self.state(process)? {
                ProcessState::Running => Ok(None),
                ProcessState::Ended(code) => Ok(Some(code)),
            }
        })
    }

    /// Runs `argv` at the end, after all processes have ended. Call this *before* doing what the command undoes.
    ///
    /// # Errors
    /// When the reaper has died.
    pub fn undo(&self, argv: &[&str]) -> Result<()> {
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        self.ask(&Request::Undo(argv)).map(drop)
    }

    /// Removes the cgroup `name`, with those inside it, at the end.
    ///
    /// # Errors
    /// When the reaper has died.
    pub fn remove_cgroup(&self, name: &Name) -> Result<()> {
        self.ask(&Request::RemoveCgroup(name.to_string())).map(drop)
    }

    /// Ends everything now. Dropping does the same, but can only print errors.
    ///
    /// # Errors
    /// When something could not be cleaned up, with what that is.
    pub fn finish(self) -> Result<()> {
        self.connection().finish()
    }

    fn ask(&self, request: &Request) -> Result<Reply> {
        let mut reaper = self.connection();
        let line = serde_json::to_string(request)?;
        let Some(requests) = &mut reaper.requests else {
            bail!("cannot ask the reaper: it was stopped")
        };
        writeln!(requests, "{line}").context("cannot write to the reaper")?;
        match reaper.reply()? {
            Reply::Failed(why) => bail!(why),
            reply => Ok(reply),
        }
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, Connection> {
        // A panic in another thread leaves at most one reply unread, and the cleanup reads none.
        self.reaper
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Connection {
    fn reply(&mut self) -> Result<Reply> {
        let mut line = String::new();
        self.replies
            .read_line(&mut line)
            .context("cannot read from the reaper")?;
        serde_json::from_str(&line)
            .with_context(|| format!("unexpected reply of the reaper: {line:?}"))
    }

    /// Closes the pipe, and waits until the reaper has cleaned up. A second call does nothing.
    fn finish(&mut self) -> Result<()> {
        if self.requests.take().is_none() {
            return Ok(());
        }
        let ended = wait_for("end of the reaper", CLEANUP_LIMIT, || {
            Ok(self.process.try_wait()?)
        })?;
        if !ended.success() {
            bail!("cannot clean up everything ({ended}); see the output of the reaper");
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            eprintln!("rig: {error:#}");
        }
    }
}

fn text(os: &std::ffi::OsStr) -> String {
    os.to_string_lossy().into_owned()
}

/// Returns the program `rig`: from OCLUSTER_RIG, beside the running program, or above it if that is a test.
pub(crate) fn rig_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("OCLUSTER_RIG").filter(|path: &OsString| !path.is_empty())
    {
        return Ok(path.into());
    }
    let here = std::env::current_exe()?;
    here.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("rig"))
        .find(|file| file.is_file())
        .context("cannot find the program rig: it is not built; run `cargo build -p rig`")
}
