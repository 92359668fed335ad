//! README and the first pages of the book, typed line by line into a shell, as they are printed.
//!
//! The shell has a network of its own, so that the ports in the documents are free, and processes of its own, so that nothing that a
//! line starts outlives the test.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Rig, is_root, report_not_run, wait_for};

/// How long a line may take: one that builds with an engine takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// How lines begin that are not typed, and why not.
const NOT_TYPED: [(&str, &str); 5] = [
    ("cargo xtask", "these are what runs this test"),
    ("cargo build", "the programs are there"),
    ("apt ", "changes the machine"),
    ("install ", "changes the machine"),
    ("systemctl ", "changes the machine"),
];

/// What needs more than this machine.
const FAR_AWAY: &str = "https://github.com/";

/// How lines begin that go on until somebody ends them, and what they say when they are ready: of a scheduler, the last cap file, as
/// the lines that follow use it.
const GO_ON: [(&str, &str); 3] = [
    ("ocluster-scheduler ", "capnp-secrets/pool-linux-x86_64.cap"),
    ("ocluster-worker ", "Requesting a new job..."),
    ("ocluster dev", "Try, in another terminal"),
];

/// Somebody at a shell.
struct Typist {
    folder: PathBuf,
    shell: Child,
    input: ChildStdin,
    typed: usize,
    /// The line that goes on, and that the next of its kind replaces.
    going_on: Vec<&'static str>,
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
            // No image can be fetched here.
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
            going_on: Vec::new(),
        })
    }

    /// Types a line, and waits until it has ended or, if it goes on, is ready. Returns what it has printed.
    fn enter(&mut self, line: &str) -> Result<String> {
        let goes_on = GO_ON.iter().find(|(begin, _)| line.starts_with(begin));
        match goes_on {
            Some((begin, ready)) => self.start_program(line, begin, ready),
            None => self.run(line),
        }
    }

    fn run(&mut self, line: &str) -> Result<String> {
        self.typed += 1;
        let (said, status) = (
            format!("{}.log", self.typed),
            format!("{}.status", self.typed),
        );
        writeln!(
            self.input,
            "{{ {line}\n}} > {said} 2>&1 < /dev/null; echo $? > {status}.new; mv {status}.new {status}"
        )?;
        let status = wait_for("end", PATIENCE, || Ok(self.read(&status)));
        let said = self.read(&said).unwrap_or_default();
        let status = status.with_context(|| format!("{line}\n{said}"))?;
        ensure!(status == "0\n", "{line}\n{said}\nended with {status}");
        Ok(said)
    }

    /// Starts a program, after it has ended one of its kind that was started before: that is one machine.
    fn start_program(&mut self, line: &str, begin: &'static str, ready: &str) -> Result<String> {
        let name = begin.trim().replace(' ', "-");
        if self.going_on.contains(&begin) {
            self.end_program(&name)?;
        }
        self.going_on.push(begin);
        self.typed += 1;
        let said = format!("{}.log", self.typed);
        writeln!(
            self.input,
            "{line} > {said} 2>&1 < /dev/null & echo $! > {name}.pid"
        )?;
        let is_ready = || Ok(self.read(&said).filter(|said| said.contains(ready)));
        wait_for(ready, PATIENCE, is_ready)
            .with_context(|| format!("{line}\n{}", self.read(&said).unwrap_or_default()))
    }

    /// Presses Ctrl-C, and waits.
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
        // With the first process of its namespace, all others go. It may have gone already.
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

/// Types a document, and returns what was printed.
fn type_document(typist: &mut Typist, document: &str) -> Result<String> {
    let mut printed = String::new();
    for line in lines_of(document) {
        let is_typed = NOT_TYPED.iter().all(|(begin, _)| !line.starts_with(begin));
        if is_typed && !line.contains(FAR_AWAY) {
            printed += &typist.enter(&line)?;
        }
    }
    Ok(printed)
}

/// Types a document of this name from the top of the project, and looks for what it should print.
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
fn every_line_of_readme_does_what_it_says() -> Result<()> {
    typed(
        "every_line_of_readme_does_what_it_says",
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
fn every_line_of_the_first_steps_does_what_it_says() -> Result<()> {
    typed(
        "every_line_of_the_first_steps_does_what_it_says",
        "docs/first-steps.md",
        &[
            "Building on dev",
            "Job succeeded",
            "Requesting a new job...",
        ],
    )
}

#[test]
fn lines_are_taken_from_blocks_of_code() {
    let document = "text\n```\na \\\n  b\n\nc\n```\nmore\n```sh\nd\n```\n";
    assert_eq!(lines_of(document), ["a   b", "c", "d"]);
}
