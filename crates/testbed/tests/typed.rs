//! README and the first pages of the book, typed line by line into a shell.
//!
//! The shell has a network of its own, so that the ports in the documents are free, and process ids of its own, so
//! that no process outlives the test.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Rig, is_root, report_not_run, wait_for};

/// The time limit of a line. A build with an engine takes seconds.
const LINE_LIMIT: Duration = Duration::from_secs(120);

/// The beginnings of lines that are not typed, with the reason.
const NOT_TYPED: [(&str, &str); 5] = [
    ("cargo xtask", "it runs this test"),
    ("cargo build", "the programs are built already"),
    ("apt ", "changes the machine"),
    ("install ", "changes the machine"),
    ("systemctl ", "changes the machine"),
];

/// Lines that need other machines contain this.
const REMOTE: &str = "https://github.com/";

/// The beginnings of lines that start a long-running program, and what it prints when it is ready. For a scheduler,
/// that is the last cap file, which the next lines use.
const LONG_RUNNING: [(&str, &str); 3] = [
    ("ocluster-scheduler ", "capnp-secrets/pool-linux-x86_64.cap"),
    ("ocluster-worker ", "Requesting a new job..."),
    ("ocluster dev", "Try, in another terminal"),
];

/// A shell into which a document is typed.
struct Typist {
    folder: PathBuf,
    shell: Child,
    input: ChildStdin,
    typed: usize,
    /// The long-running programs. Each is replaced by the next one of its kind.
    running: Vec<&'static str>,
}

impl Typist {
    fn start(rig: &Rig, folder: &Path) -> Result<Self> {
        let programs = rig.programs();
        fs::write(
            folder.join("hosts"),
            "127.0.0.1 localhost scheduler.example.org\n",
        )?;
        let output = File::create(folder.join("shell.log"))?;
        let mut shell = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args([
                "sh",
                "-c",
                "ip link set lo up && mount --bind hosts /etc/hosts && PATH=$PROGRAMS:$PATH exec bash",
            ])
            .env("PROGRAMS", programs)
            // Images cannot be fetched here.
            .env("OCLUSTER_DOCKER_PULL", "missing")
            .envs(rig.docker.env())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let input = shell.stdin.take().context("no input")?;
        Ok(Self {
            folder: folder.to_owned(),
            shell,
            input,
            typed: 0,
            running: Vec::new(),
        })
    }

    /// Types a line, and waits until it has ended or, if it is long-running, is ready. Returns its output.
    fn enter(&mut self, line: &str) -> Result<String> {
        let long_running = LONG_RUNNING
            .iter()
            .find(|(begin, _)| line.starts_with(begin));
        match long_running {
            Some((begin, ready)) => self.start_program(line, begin, ready),
            None => self.run(line),
        }
    }

    fn run(&mut self, line: &str) -> Result<String> {
        self.typed += 1;
        let (output, status) = (
            format!("{}.log", self.typed),
            format!("{}.status", self.typed),
        );
        writeln!(
            self.input,
            "{{ {line}\n}} > {output} 2>&1 < /dev/null; echo $? > {status}.new; mv {status}.new {status}"
        )?;
        let status = wait_for("end", LINE_LIMIT, || Ok(self.read(&status)));
        let output = self.read(&output).unwrap_or_default();
        let status = status.with_context(|| format!("{line}\n{output}"))?;
        ensure!(status == "0\n", "{line}\n{output}\nended with {status}");
        Ok(output)
    }

    /// Starts a program, in place of an earlier one of its kind.
    fn start_program(&mut self, line: &str, begin: &'static str, ready: &str) -> Result<String> {
        let name = begin.trim().replace(' ', "-");
        if self.running.contains(&begin) {
            self.end_program(&name)?;
        }
        self.running.push(begin);
        self.typed += 1;
        let output = format!("{}.log", self.typed);
        writeln!(
            self.input,
            "{line} > {output} 2>&1 < /dev/null & echo $! > {name}.pid"
        )?;
        let is_ready = || Ok(self.read(&output).filter(|output| output.contains(ready)));
        wait_for(ready, LINE_LIMIT, is_ready)
            .with_context(|| format!("{line}\n{}", self.read(&output).unwrap_or_default()))
    }

    /// Stops a program, and waits for its end.
    fn end_program(&mut self, name: &str) -> Result<()> {
        self.run(&format!(
            "kill $(cat {name}.pid); wait $(cat {name}.pid) || true"
        ))
        .map(drop)
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        // The first process of the namespace takes all others with it. It may have ended already.
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

/// Returns the command lines of a document.
fn lines_of(document: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut is_code, mut open) = (false, String::new());
    for line in document.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            open += line;
            match open.strip_suffix('\\') {
                Some(more) => open = more.to_owned(),
                None => {
                    let whole = std::mem::take(&mut open);
                    lines.extend(Some(whole).filter(|line| !line.is_empty()));
                }
            }
        }
    }
    lines
}

/// Types a document, and returns the output.
fn type_document(typist: &mut Typist, document: &str) -> Result<String> {
    let mut printed = String::new();
    for line in lines_of(document) {
        let is_typed = NOT_TYPED.iter().all(|(begin, _)| !line.starts_with(begin));
        if is_typed && !line.contains(REMOTE) {
            printed += &typist.enter(&line)?;
        }
    }
    Ok(printed)
}

/// Types a document of the project, and checks that its output contains the expected texts.
fn typed(name: &str, document: &str, expected: &[&str]) -> Result<()> {
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    if !is_root() {
        report_not_run(name, "root");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = fs::read_to_string(root.join(document))?;
    let mut typist = Typist::start(&rig, folder.path())?;
    let printed = type_document(&mut typist, &document)?;
    for text in expected {
        ensure!(printed.contains(text), "no {text:?}:\n{printed}");
    }
    Ok(())
}

#[test]
fn every_line_of_the_readme_works() -> Result<()> {
    typed(
        "every_line_of_the_readme_works",
        "README.md",
        &[
            "Building on my-host",
            "Job succeeded",
            "(run (shell date))",
            "my-host",
        ],
    )
}

#[test]
fn every_line_of_the_first_steps_works() -> Result<()> {
    typed(
        "every_line_of_the_first_steps_works",
        "docs/first-steps.md",
        &[
            "Building on dev",
            "Job succeeded",
            "Requesting a new job...",
        ],
    )
}

#[test]
fn lines_are_read_from_code_blocks() {
    let document = "text\n```\na \\\n  b\n\nc\n```\nmore\n```sh\nd\n```\n";
    assert_eq!(lines_of(document), ["a   b", "c", "d"]);
}
