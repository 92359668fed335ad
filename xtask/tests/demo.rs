//! The demo ends well, and when it is killed, wherever it is, nothing of it is left.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Rig, traces, wait_for};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(120);

/// A demo in a process group of its own, with a folder for all temporary files that it makes.
struct Demo {
    process: Child,
    temporary: TempDir,
    /// Has a folder whose name has a space, as a checkout may.
    _checkout: TempDir,
}

impl Demo {
    fn start(rig: &Rig) -> Result<Self> {
        let temporary = tempfile::tempdir()?;
        let checkout = tempfile::tempdir()?;
        let programs = checkout.path().join("the programs");
        symlink(rig.programs(), &programs)?;
        let screen = File::create(temporary.path().join("screen"))?;
        // A shell that runs these tests in the background has them ignore SIGINT.
        let process = Command::new("env")
            .args(["--default-signal=INT", env!("CARGO_BIN_EXE_xtask")])
            .args(["demo", "--programs"])
            .arg(programs)
            .env("TMPDIR", temporary.path())
            // As where somebody's engine runs.
            .env("DOCKER_HOST", rig.docker.host())
            .stdout(screen.try_clone()?)
            .stderr(screen)
            .process_group(0)
            .spawn()?;
        Ok(Self {
            process,
            temporary,
            _checkout: checkout,
        })
    }

    fn screen(&self) -> Result<String> {
        Ok(fs::read_to_string(self.temporary.path().join("screen"))?)
    }

    /// Waits until `text` is on the screen.
    fn wait_for(&mut self, text: &str) -> Result<()> {
        let seen = wait_for(text, LIMIT, || {
            let has_ended = self.process.try_wait()?.is_some();
            let is_there = self.screen()?.contains(text);
            ensure!(is_there || !has_ended, "the demo ended without it");
            Ok(is_there.then_some(()))
        });
        seen.with_context(|| self.screen().unwrap_or_default())
    }

    fn wait(&mut self) -> Result<ExitStatus> {
        wait_for("end of the demo", LIMIT, || Ok(self.process.try_wait()?))
    }

    /// Returns the names under which it has made things on this machine, so far.
    fn names(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.temporary.path())? {
            found.push(entry?.file_name().to_string_lossy().into_owned());
        }
        found.retain(|name| name != "screen");
        Ok(found)
    }

    /// Returns what there is of it: all that has one of its `names`, or uses its folder.
    fn traces(&self, names: &[String]) -> Result<Vec<String>> {
        let mut found = self.names()?;
        let folder = self
            .temporary
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        found.extend(traces(&folder)?);
        for name in names {
            found.extend(traces(name)?);
        }
        Ok(found)
    }

    fn wait_until_gone(&self, names: &[String]) -> Result<()> {
        let mut left = Vec::new();
        wait_for("clean machine", LIMIT, || {
            left = self.traces(names)?;
            Ok(left.is_empty().then_some(()))
        })
        .with_context(|| format!("left behind: {left:#?}"))
    }
}

#[test]
fn the_demo_ends_well() -> Result<()> {
    let Some(rig) = Rig::or_not_run("the_demo_ends_well") else {
        return Ok(());
    };
    let mut demo = Demo::start(&rig)?;
    let status = demo.wait()?;
    let screen = demo.screen()?;
    assert!(status.success(), "{screen}");
    for line in [
        "\nHello from a git commit!\n",
        "\nworking, 3 of 3\n",
        "---> using \"9d75f0d7c398df565d7ac04c6819b62d6d8f9560f5eb4672596ecd8f7e96ae91\" from cache",
    ] {
        assert!(screen.contains(line), "no {line} in {screen}");
    }
    assert_eq!(screen.matches("\n==> The job succeeded\n").count(), 3);
    assert_eq!(demo.traces(&[])?, Vec::<String>::new());
    Ok(())
}

/// Whatever its images are called, the demo neither uses nor changes them.
#[test]
fn the_demo_leaves_an_engine_alone_that_runs() -> Result<()> {
    let Some(rig) = Rig::or_not_run("the_demo_leaves_an_engine_alone_that_runs") else {
        return Ok(());
    };
    let state = || -> Result<Vec<String>> {
        let lists = [
            &["image", "ls", "--all", "--quiet"][..],
            &["ps", "--all", "--quiet"],
            &["network", "ls", "--quiet"],
            &["volume", "ls", "--quiet"],
        ];
        let list = |args| -> Result<String> {
            // What was made in the same second comes in any order.
            let listed = rig.docker.run(args)?;
            let mut lines: Vec<&str> = listed.lines().collect();
            lines.sort_unstable();
            Ok(lines.join("\n"))
        };
        lists.into_iter().map(list).collect()
    };
    let before = state()?;
    let mut demo = Demo::start(&rig)?;
    assert!(demo.wait()?.success(), "{}", demo.screen()?);
    assert_eq!(state()?, before);
    Ok(())
}

#[test]
fn killed_anywhere_the_demo_leaves_nothing() -> Result<()> {
    let name = "killed_anywhere_the_demo_leaves_nothing";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    for place in [
        "Starting a scheduler",
        "Submitting an OBuilder job",
        "working, 1 of 3",
        "The same again",
        "Starting a Docker engine",
        "Submitting a Docker job",
        "Stopping",
    ] {
        let mut demo = Demo::start(&rig)?;
        demo.wait_for(place)?;
        let names = demo.names()?;
        demo.process.kill()?;
        demo.process.wait()?;
        demo.wait_until_gone(&names)
            .with_context(|| format!("killed at {place:?}"))?;
    }
    Ok(())
}

#[test]
fn ctrl_c_ends_the_demo_and_leaves_nothing() -> Result<()> {
    let name = "ctrl_c_ends_the_demo_and_leaves_nothing";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let mut demo = Demo::start(&rig)?;
    demo.wait_for("Starting a worker that builds Dockerfiles")?;
    let names = demo.names()?;
    assert!(names.len() >= 2, "an engine and a cluster: {names:?}");
    // At once, as the job takes no longer than a second.
    demo.wait_for("Submitting a Docker job")?;
    // As a terminal does: to the whole group.
    let group = Pid::from_raw(i32::try_from(demo.process.id())?).context("no process")?;
    rustix::process::kill_process_group(group, Signal::INT)?;
    assert!(!demo.wait()?.success());
    demo.wait_until_gone(&names)
}
