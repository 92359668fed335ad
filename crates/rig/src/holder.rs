//! Processes and other things that cannot outlive the program that wanted them.

use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use crate::reaper::{Isolation, Reply, Request, Start};
use crate::wait::wait_for;

/// How long a reaper may take in all; it gives up by itself before.
const LIMIT_TO_TIDY_UP: Duration = Duration::from_secs(90);

/// The name of one holder, and of everything on the machine that belongs to it: its directory and cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Returns a name that nothing has yet.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new() -> Result<Self> {
        let id = getrandom::u32().context("no random numbers")?;
        // Linux allows 15 characters for a network interface; this is 14.
        Ok(Self(format!("ocrig-{id:08x}")))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    /// Accepts what Linux allows for a network interface, and needs no quotes anywhere.
    fn from_str(name: &str) -> Result<Self> {
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        ensure!(
            is_plain && (1..=15).contains(&name.len()),
            "a name has 1 to 15 letters, digits or `-`: {name:?}"
        );
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Holds a directory, processes, and whatever else must be taken back.
///
/// All of it ends when this is dropped, and when the program that holds it ends in whatever way. A process of its own
/// sees to that: the program `rig`, which is looked for beside the running one.
#[derive(Debug)]
pub struct Holder {
    folder: PathBuf,
    reaper: Mutex<Connection>,
}

#[derive(Debug)]
struct Connection {
    process: Child,
    /// `None` once we have hung up, which tells the reaper to tidy up.
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

/// A process that a [`Holder`] has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(i32);

impl Process {
    /// Returns its process id, by which `/proc` tells more about it.
    pub fn id(&self) -> i32 {
        self.0
    }
}

/// How a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It has not ended.
    Running,
    /// It ended with this code; as in a shell, 128 + N when signal N ended it.
    Ended(i32),
}

impl Holder {
    /// Starts a holder with a directory of its own in the system's place for temporary files.
    ///
    /// # Errors
    /// When the program `rig` is not built, or cannot make its directory.
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
        let stdout = process.stdout.take().context("no pipe from the reaper")?;
        let mut reaper = Connection {
            process,
            requests,
            replies: BufReader::new(stdout),
        };
        let Reply::Folder(folder) = reaper.reply()? else {
            bail!("the reaper made no directory")
        };
        Ok(Self {
            folder,
            reaper: Mutex::new(reaper),
        })
    }

    /// Returns the directory that goes when this does.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns a place in it for what a program leaves when it crashes, or is killed.
    pub fn temporary_folder(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// Starts `command`, which will not outlive this holder. What it prints goes to the file `log` in our directory.
    ///
    /// Its environment is ours with the changes made to `command`, and with a place for temporary files that goes too;
    /// its standard input is empty.
    ///
    /// # Errors
    /// When it cannot be started. That its program does not exist shows in its log and its end, not here.
    pub fn run(&self, command: &Command, log: &str) -> Result<Process> {
        self.run_as(command, log, Isolation::None)
    }

    /// As [`run`](Self::run), as root, with process ids and mounts of its own, all of which the kernel ends together.
    ///
    /// # Errors
    /// As for `run`.
    pub fn run_private(&self, command: &Command, log: &str) -> Result<Process> {
        self.run_as(command, log, Isolation::Private)
    }

    /// As [`run_private`](Self::run_private), with a network of its own, which leads nowhere by itself and to which
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
            other => bail!("the reaper answered {other:?}"),
        }
    }

    /// Returns where a process's output goes.
    pub fn log(&self, log: &str) -> PathBuf {
        self.folder.join(log)
    }

    /// Sends `signal` to a process; nothing happens when it has ended.
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
    /// When the reaper has gone.
    pub fn state(&self, process: Process) -> Result<ProcessState> {
        match self.ask(&Request::State { pid: process.0 })? {
            Reply::State { exit: None } => Ok(ProcessState::Running),
            Reply::State { exit: Some(code) } => Ok(ProcessState::Ended(code)),
            other => bail!("the reaper answered {other:?}"),
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

    /// Runs `argv` at the end, after all processes have gone. Say so *before* doing what it takes back.
    ///
    /// # Errors
    /// When the reaper has gone.
    pub fn undo(&self, argv: &[&str]) -> Result<()> {
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        self.ask(&Request::Undo(argv)).map(drop)
    }

    /// Removes the cgroup `name`, with those inside it, at the end.
    ///
    /// # Errors
    /// When the reaper has gone.
    pub fn remove_cgroup(&self, name: &Name) -> Result<()> {
        self.ask(&Request::RemoveCgroup(name.to_string())).map(drop)
    }

    /// Ends everything now, and says what could not be taken back. Dropping does the same, but can only print that.
    ///
    /// # Errors
    /// When something is left.
    pub fn finish(self) -> Result<()> {
        self.connection().finish()
    }

    fn ask(&self, request: &Request) -> Result<Reply> {
        let mut reaper = self.connection();
        let line = serde_json::to_string(request)?;
        let Some(requests) = &mut reaper.requests else {
            bail!("the reaper was let go")
        };
        writeln!(requests, "{line}").context("the reaper has gone")?;
        match reaper.reply()? {
            Reply::Failed(why) => bail!(why),
            reply => Ok(reply),
        }
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, Connection> {
        // A panic in another thread leaves at worst a reply unread, and tidying up reads none.
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
            .context("the reaper has gone")?;
        serde_json::from_str(&line).with_context(|| format!("the reaper said {line:?}"))
    }

    /// Hangs up, and waits until the reaper has done its work. A second call does nothing.
    fn finish(&mut self) -> Result<()> {
        if self.requests.take().is_none() {
            return Ok(());
        }
        let ended = wait_for("end of the reaper", LIMIT_TO_TIDY_UP, || {
            Ok(self.process.try_wait()?)
        })?;
        if !ended.success() {
            bail!("the reaper could not take everything back ({ended}); it said what");
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

/// Returns the program `rig`: named by OCLUSTER_RIG, or beside the running program, or above it for a test.
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
        .context("the program `rig` is not built: run `cargo build -p rig`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_will_do_for_everything_that_bears_it() {
        let name = Name::new().unwrap();
        assert_eq!(name.as_str().parse::<Name>().unwrap(), name);
        for bad in ["", "sixteen-letters-", "a/b", "..", "a b"] {
            bad.parse::<Name>().unwrap_err();
        }
    }
}
