//! A program that a user has started, and its output.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rig::wait_for;
use rustix::process::{Pid, Signal, kill_process};

use crate::WAIT_LIMIT;

/// A running program, with its output in files. It is killed when this is dropped, or when the test's thread ends.
#[derive(Debug)]
pub struct Program {
    line: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Program {
    /// Starts `command`, with its output in files called `output` in `folder`.
    pub(crate) fn start(command: &Command, folder: &Path, output: &str) -> Result<Self> {
        let line = shown(command);
        let (stdout, stderr) = (
            folder.join(format!("{output}.out")),
            folder.join(format!("{output}.err")),
        );
        let child = killed_with_thread(command)
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
    /// When it ends before that, or does not print it in time; then with its output.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        let printed = wait_for(text, WAIT_LIMIT, || {
            // Checked before the output, so that the output of a program that has ended is complete.
            let ended = self.child.try_wait()?;
            if self.read(&self.stdout)?.contains(text) || self.read(&self.stderr)?.contains(text) {
                return Ok(Some(()));
            }
            match ended {
                Some(status) => bail!("it ended ({status})"),
                None => Ok(None),
            }
        });
        printed.with_context(|| {
            format!(
                "{} has not printed {text:?}:\n{}",
                self.line,
                self.output_so_far()
            )
        })
    }

    /// Returns whether it has ended.
    ///
    /// # Errors
    /// When the system cannot report it.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Interrupts it, as Ctrl-C does.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn interrupt(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::INT)?)
    }

    /// Waits until it ends, and returns its output.
    ///
    /// # Errors
    /// When it does not end; then with its output.
    pub fn end(self) -> Result<Output> {
        self.end_within(WAIT_LIMIT)
    }

    /// Like [`end`](Self::end), with another time limit.
    ///
    /// # Errors
    /// When it does not end; then with its output.
    pub fn end_within(mut self, limit: Duration) -> Result<Output> {
        let ended = wait_for("end", limit, || Ok(self.child.try_wait()?));
        let status = ended
            .with_context(|| format!("{} has not ended:\n{}", self.line, self.output_so_far()))?;
        Ok(Output {
            line: self.line.clone(),
            code: status.code(),
            stdout: self.read(&self.stdout)?,
            stderr: self.read(&self.stderr)?,
        })
    }

    /// Returns its output so far.
    pub fn output_so_far(&self) -> String {
        let read = |path| self.read(path).unwrap_or_default();
        read(&self.stdout) + &read(&self.stderr)
    }

    fn read(&self, path: &Path) -> Result<String> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // These fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns a command that runs `command` and is killed by the kernel when the thread that starts it ends.
fn killed_with_thread(command: &Command) -> Command {
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

/// The output and the exit code of a program.
#[derive(Clone, Debug)]
pub struct Output {
    line: String,
    /// The exit code; `None` if it was killed by a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Checks that it ended with `code` and printed each of `texts`.
    ///
    /// # Panics
    /// When it did not; then with its output.
    #[track_caller]
    pub fn check(self, code: i32, texts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        for text in texts {
            let is_there = self.stdout.contains(text) || self.stderr.contains(text);
            assert!(is_there, "it has not printed {text:?}:\n{self}");
        }
        self
    }

    /// Checks that it has not printed `text`.
    ///
    /// # Panics
    /// When it has.
    #[track_caller]
    pub fn check_absent(self, text: &str) -> Self {
        let is_there = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(!is_there, "it has printed {text:?}:\n{self}");
        self
    }

    /// Returns the worker that the job ran on, from the job's log.
    ///
    /// # Errors
    /// When the log names none.
    pub fn built_on(&self) -> Result<&str> {
        let line = self
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("Building on "));
        line.with_context(|| format!("cannot find the worker in:\n{self}"))
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
        result.with_context(|| format!("cannot find the result in:\n{self}"))
    }
}

/// Shows it like a terminal.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The most characters of each output to show.
        const MAX_SHOWN: usize = 6000;
        let cut = |text: &str| text.chars().take(MAX_SHOWN).collect::<String>();
        writeln!(f, "$ {}", self.line)?;
        f.write_str(&cut(&self.stdout))?;
        for line in cut(&self.stderr).lines() {
            writeln!(f, "2> {line}")?;
        }
        match self.code {
            Some(code) => write!(f, "[exit code {code}]"),
            None => f.write_str("[killed by a signal]"),
        }
    }
}
