//! Kills the owner of an engine with `kill -9` at several points. Nothing of the engine may be left.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::{DEMO_PACKAGES, Name, Setup, output_within, report_not_run, traces, wait_for};
use rustix::process::{Pid, Signal};

const LIMIT: Duration = Duration::from_secs(60);

/// An owner, `rig up`, with a folder of its own for temporary files, in which it must create everything.
struct Owner {
    process: Child,
    name: Name,
    temporary: tempfile::TempDir,
}

impl Owner {
    fn start() -> Result<Self> {
        let name = Name::new()?;
        let temporary = tempfile::tempdir()?;
        let process = Command::new(env!("CARGO_BIN_EXE_rig"))
            .args(["up", name.as_str()])
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::piped())
            .stdout(fs::File::create(temporary.path().join("output"))?)
            .process_group(0)
            .spawn()?;
        Ok(Self {
            process,
            name,
            temporary,
        })
    }

    fn folder(&self) -> PathBuf {
        self.temporary.path().join(self.name.as_str())
    }

    /// Waits until a file is in the engine's folder.
    fn wait_for_file(&self, file: &str) -> Result<()> {
        let path = self.folder().join(file);
        wait_for(file, LIMIT, || Ok(path.exists().then_some(())))
    }

    /// Waits until the engine is ready.
    fn wait_until_up(&self) -> Result<()> {
        let output = self.temporary.path().join("output");
        wait_for("engine", LIMIT, || {
            Ok(fs::read_to_string(&output)?.contains("PATH=").then_some(()))
        })
    }

    fn docker(&self, args: &[&str]) -> Result<String> {
        let mut docker = Command::new(self.folder().join("programs/docker"));
        docker.env(
            "DOCKER_HOST",
            format!("unix://{}/docker.sock", self.folder().display()),
        );
        let output = output_within(docker.args(args), LIMIT)?;
        let (out, err) = (
            String::from_utf8(output.stdout)?,
            String::from_utf8(output.stderr)?,
        );
        anyhow::ensure!(output.status.success(), "docker {args:?}: {err}");
        Ok(out.trim().to_owned())
    }

    fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Returns everything of it on this machine, except for the folder for temporary files.
    fn traces(&self) -> Result<Vec<String>> {
        let mut found = traces(self.name.as_str())?;
        let folder = self.folder();
        found.extend(folder.exists().then(|| folder.display().to_string()));
        Ok(found)
    }

    /// Waits until nothing is left of it.
    fn wait_until_gone(&self) -> Result<()> {
        let mut left = Vec::new();
        wait_for("clean machine", LIMIT, || {
            left = self.traces()?;
            Ok(left.is_empty().then_some(()))
        })
        .with_context(|| format!("left behind: {left:#?}"))
    }
}

/// Returns whether this machine can run these tests; if not, that is reported.
fn can_run(test: &str) -> bool {
    let missing = Setup::missing(DEMO_PACKAGES);
    if !rustix::process::geteuid().is_root() {
        report_not_run(test, "root");
        return false;
    }
    if !missing.is_empty() {
        report_not_run(test, &format!("{missing:?}"));
        return false;
    }
    true
}

#[test]
fn killed_while_it_starts() -> Result<()> {
    if !can_run("killed_while_it_starts") {
        return Ok(());
    }
    for file in [
        ".",
        "programs/docker",
        "dockerd.log",
        "exec/containerd",
        "docker.sock",
    ] {
        let mut owner = Owner::start()?;
        owner.wait_for_file(file)?;
        owner.kill()?;
        owner
            .wait_until_gone()
            .with_context(|| format!("killed when {file} existed"))?;
    }
    Ok(())
}

#[test]
fn killed_before_it_has_created_anything() -> Result<()> {
    if !can_run("killed_before_it_has_created_anything") {
        return Ok(());
    }
    let mut owner = Owner::start()?;
    owner.kill()?;
    owner.wait_until_gone()
}

#[test]
fn killed_while_containers_run() -> Result<()> {
    if !can_run("killed_while_containers_run") {
        return Ok(());
    }
    let mut owner = Owner::start()?;
    owner.wait_until_up()?;
    owner.docker(&["run", "--detach", "busybox", "sleep", "100000"])?;
    owner.docker(&[
        "run",
        "--detach",
        "--network=host",
        "busybox",
        "sh",
        "-c",
        "trap '' TERM; cat /dev/zero > /dev/null",
    ])?;
    // `traces` works: it finds the containers, the engine and the other processes.
    let traces = owner.traces()?.join("\n");
    for expected in [
        "sleep 100000",
        "cat /dev/zero",
        "containerd-shim",
        "dockerd",
        "rig hold",
        "/sys/fs/cgroup/",
    ] {
        assert!(traces.contains(expected), "no {expected} in {traces}");
    }
    owner.kill()?;
    owner.wait_until_gone()
}

#[test]
fn killed_with_its_whole_process_group() -> Result<()> {
    if !can_run("killed_with_its_whole_process_group") {
        return Ok(());
    }
    let mut owner = Owner::start()?;
    owner.wait_until_up()?;
    let group = Pid::from_raw(i32::try_from(owner.process.id())?).context("no process")?;
    rustix::process::kill_process_group(group, Signal::KILL)?;
    owner.process.wait()?;
    owner.wait_until_gone()
}

#[test]
fn ended_normally() -> Result<()> {
    if !can_run("ended_normally") {
        return Ok(());
    }
    let mut owner = Owner::start()?;
    owner.wait_until_up()?;
    drop(owner.process.stdin.take());
    let status = wait_for("end of the owner", LIMIT, || {
        Ok(owner.process.try_wait()?)
    })?;
    assert!(status.success());
    // Without waiting: the owner does that.
    assert_eq!(owner.traces()?, Vec::<String>::new());
    Ok(())
}
