//! Runs programs in a directory of their own, with a time limit.

#![expect(
    clippy::disallowed_methods,
    reason = "tests poll what other processes do"
)]

use std::ffi::OsStr;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The time limit for anything, far longer than it takes, so that a slow machine fails no test.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The interval of polls.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A directory that a test has to itself.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// Makes an empty one.
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .expect("made the directory");
        std::fs::write(&path, contents).expect("wrote the file");
        path
    }

    /// Runs a command line such as `ocluster-admin show x.cap` to its end.
    pub(crate) fn run(&self, line: &str) -> Outcome {
        self.start(line).wait()
    }

    /// Runs a command line to its end, with these variables in its environment.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], line: &str) -> Outcome {
        self.start_with(variables, line).wait()
    }

    /// Starts a command line.
    pub(crate) fn start(&self, line: &str) -> Running {
        self.start_with(&[], line)
    }

    /// Starts a command line, with these variables in its environment.
    pub(crate) fn start_with(&self, variables: &[(&str, &str)], line: &str) -> Running {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, args) = words.split_first().expect("a command line has words");
        self.spawn(variables, program(name), args)
    }

    /// Starts a command line on a terminal of its own, to which it writes everything.
    pub(crate) fn start_on_terminal(&self, line: &str) -> Running {
        self.start_on_terminal_with(&[("TERM", "xterm")], line)
    }

    /// Starts a command line on a terminal of its own, with these variables in its environment.
    pub(crate) fn start_on_terminal_with(&self, variables: &[(&str, &str)], line: &str) -> Running {
        let (name, args) = line.split_once(' ').expect("a command line has words");
        let line = format!("'{}' {args}", program(name));
        self.spawn(variables, "script", &["-qec", &line, "/dev/null"])
    }

    /// Runs a script in bash, where our programs are found as anywhere else.
    pub(crate) fn bash(&self, script: &str) -> Outcome {
        let bin = self.path().join("bin");
        std::fs::create_dir_all(&bin).expect("made the directory");
        for name in PROGRAMS {
            let link = bin.join(name);
            if !link.exists() {
                std::os::unix::fs::symlink(program(name), link).expect("made a link");
            }
        }
        self.spawn(&[], "bash", &["-c", script]).wait()
    }

    fn spawn(
        &self,
        variables: &[(&str, &str)],
        program: &str,
        args: &[impl AsRef<OsStr>],
    ) -> Running {
        let mut command = Command::new(program);
        // The fake engine comes first in the path, then what it needs itself.
        let path = format!(
            "{}:/usr/local/bin:/usr/bin:/bin",
            self.path().join("bin").display()
        );
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path())
            .env("COLUMNS", "100")
            .env("TZ", "UTC")
            // The author of pauses.
            .env("USER", "tester")
            // Ignores /etc/ocluster of this machine.
            .env("OCLUSTER_CONFIG", "/dev/null")
            .envs(variables.iter().copied())
            // The date on generated pages.
            .env("SOURCE_DATE_EPOCH", "1793000000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("started the program");
        Running {
            line: shown(program, args),
            stdout: Collected::from(child.stdout.take().expect("its output")),
            stderr: Collected::from(child.stderr.take().expect("its errors")),
            child,
            here: self.path().display().to_string(),
        }
    }
}

/// Returns a command line as a user would write it.
fn shown(program: &str, args: &[impl AsRef<OsStr>]) -> String {
    let program = Path::new(program).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(args.iter().map(AsRef::as_ref));
    words
        .map(|word| word.display().to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Our programs.
const PROGRAMS: [&str; 6] = [
    "ocluster",
    "ocluster-scheduler",
    "ocluster-worker",
    "ocluster-client",
    "ocluster-admin",
    "obuilder",
];

fn program(name: &str) -> &'static str {
    match name {
        "ocluster" => env!("CARGO_BIN_EXE_ocluster"),
        "ocluster-scheduler" => env!("CARGO_BIN_EXE_ocluster-scheduler"),
        "ocluster-worker" => env!("CARGO_BIN_EXE_ocluster-worker"),
        "ocluster-client" => env!("CARGO_BIN_EXE_ocluster-client"),
        "ocluster-admin" => env!("CARGO_BIN_EXE_ocluster-admin"),
        "obuilder" => env!("CARGO_BIN_EXE_obuilder"),
        other => panic!("no program called {other}"),
    }
}

/// The output of a program so far.
struct Collected {
    text: Arc<Mutex<Vec<u8>>>,
    closed: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Collected {
    fn from(mut pipe: impl std::io::Read + Send + 'static) -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Arc::clone(&text);
        let closed = Arc::<AtomicBool>::default();
        let no_more = Arc::clone(&closed);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut buffer)
                && !no_more.load(Ordering::Relaxed)
            {
                sink.lock()
                    .expect("no reader panics")
                    .extend_from_slice(&buffer[..n]);
            }
        });
        Self {
            text,
            closed,
            reader,
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("no reader panics")).into_owned()
    }
}

/// A program that has been started. Dropping it kills it.
pub(crate) struct Running {
    line: String,
    child: Child,
    stdout: Collected,
    stderr: Collected,
    here: String,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// Waits until standard error has `text`.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |running| running.stderr().contains(text));
    }

    /// Waits until standard output has `text`.
    pub(crate) fn wait_for_output(&mut self, text: &str) {
        self.wait_until(text, |running| running.stdout().contains(text));
    }

    fn wait_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !done(self) {
            let ended = self.child.try_wait().expect("asked for its status");
            assert!(
                ended.is_none() && begin.elapsed() < LIMIT,
                "{} never printed {what:?} (ended: {ended:?})\nstdout: {}\nstderr: {}",
                self.line,
                self.stdout(),
                self.stderr(),
            );
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Stops reading its standard output, after the next piece.
    pub(crate) fn close_output(&self) {
        self.stdout.closed.store(true, Ordering::Relaxed);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id is small");
        let pid = rustix::process::Pid::from_raw(pid).expect("a process id is not 0");
        rustix::process::kill_process(pid, signal).expect("sent a signal");
    }

    /// Waits until it has ended, however it does.
    pub(crate) fn wait_until_ended(&mut self) {
        let begin = Instant::now();
        while self
            .child
            .try_wait()
            .expect("asked for its status")
            .is_none()
        {
            assert!(begin.elapsed() < LIMIT, "{} did not end", self.line);
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Outcome {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("asked for its status") {
                break status;
            }
            assert!(
                begin.elapsed() < LIMIT,
                "{} did not end\nstdout: {}\nstderr: {}",
                self.line,
                self.stdout(),
                self.stderr()
            );
            std::thread::sleep(POLL_INTERVAL);
        };
        // Its children may still hold the pipes, but nothing of ours leaves children behind.
        let begin = Instant::now();
        while !(self.stdout.reader.is_finished() && self.stderr.reader.is_finished()) {
            assert!(
                begin.elapsed() < LIMIT,
                "a child of {} still holds its output",
                self.line
            );
            std::thread::sleep(POLL_INTERVAL);
        }
        Outcome {
            line: self.line.replace(&self.here, "$DIR"),
            status,
            stdout: self.stdout().replace(&self.here, "$DIR"),
            stderr: self.stderr().replace(&self.here, "$DIR"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How a program ended, and its output.
#[must_use = "check how it ended"]
pub(crate) struct Outcome {
    line: String,
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Returns the exit code.
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("{} died of a signal: {}", self.line, self.stderr))
    }

    /// Checks that it succeeded.
    pub(crate) fn success(self) -> Self {
        assert!(self.status.success(), "{}", self.transcript());
        self
    }

    /// Returns the command line, its output, and its exit code if it failed, with long lines folded.
    pub(crate) fn transcript(&self) -> String {
        folded(&self.raw_transcript())
    }

    /// Returns the same with the lines as they are.
    pub(crate) fn raw_transcript(&self) -> String {
        let mut text = format!("$ {}\n{}", self.line, self.stdout);
        for line in self.stderr.lines().filter(|line| !is_progress(line)) {
            text.push_str(&format!("2> {}\n", without_outcome_times(line)));
        }
        match self.status.code() {
            Some(0) => {}
            Some(code) => text.push_str(&format!("[exit code {code}]\n")),
            None => text.push_str(&format!("[{}]\n", self.status)),
        }
        without_host(&without_ports(&text))
    }
}

/// Returns `text` with long lines folded at blanks: `\` ends a line that goes on in the next.
pub(crate) fn folded(text: &str) -> String {
    const WIDTH: usize = 100;
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_inclusive([' ', '\n']) {
        let width = word.trim_end().chars().count();
        if column > 4 && width > 0 && column + width > WIDTH {
            out.push_str("\\\n    ");
            column = 4;
        }
        out.push_str(word);
        column = match word.ends_with('\n') {
            true => 0,
            false => column + word.chars().count(),
        };
    }
    out
}

/// Returns `text` with the name of this machine, which follows that of a user, replaced.
fn without_host(text: &str) -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let text = text.replace(&format!("tester@{host}"), "tester@HOST");
    // The name of a scheduler: process 4711 on HOST.
    let mut parts = text.split("process ");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        match rest.strip_prefix(&format!(" on {host}")) {
            Some(rest) if rest.len() < part.len() => {
                shown.push_str("process PID on HOST");
                shown.push_str(rest);
            }
            _ => {
                shown.push_str("process ");
                shown.push_str(part);
            }
        }
    }
    shown
}

/// Returns `text` with durations (`3s`, `2m10s`) replaced by `0s`, padded with blanks.
pub(crate) fn without_times(text: &str) -> String {
    let is_time = |word: &str| {
        let word = word.trim_end_matches([',', '\n']);
        word.ends_with(['s', 'm', 'h'])
            && word.starts_with(|c: char| c.is_ascii_digit())
            && word
                .chars()
                .all(|c| c.is_ascii_digit() || "smhd".contains(c))
    };
    let words = text.split_inclusive([' ', ',', '\n']).map(|word| {
        let (time, after) = word.split_at(word.trim_end_matches([' ', ',', ':', '\n']).len());
        match is_time(time) {
            true => format!("0s{after}{}", " ".repeat(time.len().saturating_sub(2))),
            false => word.to_owned(),
        }
    });
    words.collect()
}

/// Returns the line with the outcome of a job with its times replaced. Any other line is unchanged.
fn without_outcome_times(line: &str) -> String {
    let parts = || {
        let (begin, rest) = line.split_once(" (waited ")?;
        let (_, rest) = rest.split_once(')')?;
        let verbs = [
            "Job succeeded in ",
            "Job failed after ",
            "Job cancelled after ",
            "Job lost after ",
        ];
        let verb = verbs.into_iter().find(|verb| begin.starts_with(verb))?;
        let rest = without_id(rest).unwrap_or_else(|| rest.to_owned());
        Some(format!("{verb}TIME (waited TIME){rest}"))
    };
    parts().unwrap_or_else(|| line.to_owned())
}

/// Returns a text such as `: job 28t5cy4tqkff of pool x` without the id, which is random.
fn without_id(text: &str) -> Option<String> {
    let (id, rest) = text.strip_prefix(": job ")?.split_once(' ')?;
    (id.len() == 12).then(|| format!(": job ID {rest}"))
}

/// Returns `text` with ports, which the system picks, replaced.
fn without_ports(text: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut pieces = text.split(HOST);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push_str(HOST);
        out.push_str("PORT");
        out.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

/// Returns whether a line is about the connection, whose port differs between runs, or about a wait, which happens on a
/// slow machine.
fn is_progress(line: &str) -> bool {
    line.starts_with("queued")
        || line.starts_with("Submitted job ")
        || line.starts_with("Connecting to tcp:127.0.0.1:") && line.ends_with("... OK")
}
