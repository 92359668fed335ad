//! A program that a user has started, and what it said.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rig::wait_for;
use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;

/// A program that runs, with its output in files. It is killed when this is dropped, or when the test's thread ends.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts `command`, with its output in files called `output` in `folder`.
    pub(crate) fn start(command: &Command, folder: &Path, output: &str) -> Result<Self> {
        let line = shown(command);
        let (stdout, stderr) = (
            folder.join(format!("{output}.out")),
            folder.join(format!("{output}.err")),
        );
        let child = dying_with_us(command)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("cannot start {line}"))?;
        Ok(Self {
            line,
            child,
            stdout,
            stderr,
        })
    }

    /// Waits until it has printed `text`.
    ///
    /// # Errors
    /// When it ends before that, or does not say it for long; then with what it said instead.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        let said = wait_for(text, PATIENCE, || {
            // Looked at before the output, so that the output is all there is.
            let ended = self.child.try_wait()?;
            if self.read(&self.stdout)?.contains(text) || self.read(&self.stderr)?.contains(text) {
                return Ok(Some(()));
            }
            match ended {
                Some(status) => bail!("it ended ({status})"),
                None => Ok(None),
            }
        });
        said.with_context(|| format!("{} did not say {text:?}:\n{}", self.line, self.so_far()))
    }

    /// Tells whether it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Presses Ctrl-C.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn interrupt(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::INT)?)
    }

    /// Waits until it ends, and returns what it said.
    ///
    /// # Errors
    /// When it does not end; then with what it said.
    pub fn end(self) -> Result<Said> {
        self.end_within(PATIENCE)
    }

    /// As [`end`](Self::end), with less patience.
    ///
    /// # Errors
    /// When it does not end; then with what it said.
    pub fn end_within(mut self, limit: Duration) -> Result<Said> {
        let ended = wait_for("end", limit, || Ok(self.child.try_wait()?));
        let status =
            ended.with_context(|| format!("{} does not end:\n{}", self.line, self.so_far()))?;
        Ok(Said {
            line: self.line.clone(),
            code: status.code(),
            stdout: self.read(&self.stdout)?,
            stderr: self.read(&self.stderr)?,
        })
    }

    /// Returns all it has printed so far.
    pub fn so_far(&self) -> String {
        let read = |path| self.read(path).unwrap_or_default();
        read(&self.stdout) + &read(&self.stderr)
    }

    fn read(&self, path: &Path) -> Result<String> {
        let bytes = fs::read(path).with_context(|| format!("no {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Neither can fail in a way that matters: it may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns `command` in such a form that the kernel kills it when the thread that starts it ends.
fn dying_with_us(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped
        .args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words: Vec<_> = std::iter::once(name)
        .chain(command.get_args())
        .map(|word| OsString::from(word).to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}

/// What a program said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    line: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it printed to standard error.
    pub stderr: String,
}

impl Said {
    /// Checks that it ended with `code` and printed each of `texts`.
    ///
    /// # Panics
    /// When it did not; then with all it did print.
    #[track_caller]
    pub fn check(self, code: i32, texts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        for text in texts {
            let is_there = self.stdout.contains(text) || self.stderr.contains(text);
            assert!(is_there, "it does not say {text:?}:\n{self}");
        }
        self
    }

    /// Checks that it printed nothing like `text`.
    ///
    /// # Panics
    /// When it did.
    #[track_caller]
    pub fn check_never(self, text: &str) -> Self {
        let is_there = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(!is_there, "it says {text:?}:\n{self}");
        self
    }

    /// Returns the worker that the job's log says it ran on.
    ///
    /// # Errors
    /// When it says nothing of one.
    pub fn built_on(&self) -> Result<&str> {
        let line = self
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("Building on "));
        line.with_context(|| format!("no worker in:\n{self}"))
    }

    /// Returns the result of the job, such as the digest of a pushed image.
    ///
    /// # Errors
    /// When it printed none.
    pub fn result(&self) -> Result<&str> {
        let result = self
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("Result: \"")?.strip_suffix('"'));
        result.with_context(|| format!("no result in:\n{self}"))
    }
}

/// Shows it as on a terminal.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Logs can be long; more than this of one tells nothing new.
        const MOST: usize = 6000;
        let cut = |text: &str| text.chars().take(MOST).collect::<String>();
        writeln!(f, "$ {}", self.line)?;
        f.write_str(&cut(&self.stdout))?;
        for line in cut(&self.stderr).lines() {
            writeln!(f, "2> {line}")?;
        }
        match self.code {
            Some(code) => write!(f, "[exit code {code}]"),
            None => f.write_str("[ended by a signal]"),
        }
    }
}
