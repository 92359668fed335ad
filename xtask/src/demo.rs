//! `cargo xtask demo`: a cluster on this machine builds something, and goes away again.

mod story;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::{Cluster, DEMO_PACKAGES, DockerEngine, Setup, import_busybox, wait_for};

use story::Source;

const POOL: &str = "linux-x86_64";
/// How long the job may take. It needs seconds; a machine that is out of breath gets minutes.
const LIMIT_TO_BUILD: Duration = Duration::from_secs(600);

/// Runs the demo with the programs in a folder. Its exit code is the job's.
///
/// # Errors
/// When something is missing, or does not start.
pub(crate) fn run(programs: &Path) -> Result<ExitCode> {
    let engine = find_engine()?;
    let base = import_busybox(&engine, "busybox")?;

    say("Starting a scheduler and a worker, which meet over TLS");
    let mut cluster = Cluster::start(programs, &[POOL])?;
    cluster.start_worker(POOL, "my-host", &engine, &[])?;
    say("Making a git repository with one commit, and serving it on loopback");
    // In the cluster's directory, which goes with it.
    let source = Source::serve(&cluster.folder().join("repositories"))?;
    say("Submitting a job. This is its log, as it arrives:");
    println!();
    let code = build(&cluster, &story::dockerfile(base.name()), &source)?;
    println!();
    match code {
        0 => say("The job succeeded"),
        code => say(&format!("The job failed (exit code {code})")),
    }

    say("Stopping everything");
    cluster.finish()?;
    engine.finish()?;
    say("Done: nothing is left running");
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Submits a job with the client, whose output goes to the screen. Returns the client's exit code.
fn build(cluster: &Cluster, dockerfile: &str, source: &Source) -> Result<i32> {
    fs::write(cluster.folder().join("Dockerfile.test"), dockerfile)?;
    // The client is our own child, for the sake of the screen, and is to die with us all the same.
    let mut client = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(cluster.program("ocluster-client").get_program())
        .args([
            "submit-docker",
            "./capnp-secrets/submission.cap",
            "--cache-hint",
            "tutorial",
        ])
        .arg(format!("--pool={POOL}"))
        .args([
            "--local-dockerfile",
            "Dockerfile.test",
            &source.url,
            &source.commit,
        ])
        .current_dir(cluster.folder())
        .env("TMPDIR", cluster.holder().temporary_folder())
        .spawn()
        .context("cannot start ocluster-client")?;
    match wait_for("end of the job", LIMIT_TO_BUILD, || Ok(client.try_wait()?)) {
        Ok(status) => Ok(status.code().unwrap_or(1)),
        Err(error) => {
            client.kill()?;
            client.wait()?;
            Err(error)
        }
    }
}

/// Returns the engine that runs on this machine, or starts one.
fn find_engine() -> Result<DockerEngine> {
    if let Some(engine) = DockerEngine::running()? {
        let others = DEMO_PACKAGES
            .iter()
            .copied()
            .filter(|package| package.name != "docker.io");
        Setup::ensure(&others.collect::<Vec<_>>())?;
        say("Using the Docker engine that is running here");
        return Ok(engine);
    }
    Setup::ensure(DEMO_PACKAGES)?;
    say("Starting a Docker engine, as none is running");
    DockerEngine::own()
}

/// Tells the person who watches what is going on.
fn say(what: &str) {
    println!("==> {what}");
}
