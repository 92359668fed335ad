//! `cargo xtask demo`: a cluster on this machine builds something in both ways, and goes away again.

mod story;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::{
    Cluster, DEMO_PACKAGES, DOCKER_PACKAGES, DockerEngine, Setup, busybox_rootfs, checked, is_root,
    unique_busybox, wait_for,
};

use story::Source;

const POOL: &str = "linux-x86_64";
/// The base image of the OBuilder build, in a store of its own.
const BASE: &str = "busybox";
/// How long a job may take. It needs seconds; a machine that is out of breath gets minutes.
const LIMIT_TO_BUILD: Duration = Duration::from_secs(600);

/// Runs the demo with the programs in a folder. It succeeds if the jobs do.
///
/// # Errors
/// When something is missing, or does not start.
pub(crate) fn run(programs: &Path) -> Result<ExitCode> {
    Setup::ensure(DEMO_PACKAGES)?;
    say("Starting a scheduler");
    let mut cluster = Cluster::start(programs, &[POOL])?;
    say("Making a git repository with one commit, and serving it on loopback");
    // In the cluster's directory, which goes with it.
    let source = Source::serve(&cluster.folder().join("repositories"))?;
    let code = match build_with_obuilder(&mut cluster, &source)? {
        0 => build_with_docker(&mut cluster, &source)?,
        code => code,
    };
    say("Stopping everything");
    cluster.finish()?;
    say("Done: nothing is left running");
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Builds an OBuilder spec, and the same again from the cache. Returns the client's exit code.
fn build_with_obuilder(cluster: &mut Cluster, source: &Source) -> Result<i32> {
    if !is_root() {
        say("Leaving out the OBuilder half: sandboxes and stores need root");
        return Ok(0);
    }
    say("Importing a base image, and starting a worker that builds OBuilder specs without Docker");
    let rootfs = cluster.folder().join("rootfs");
    busybox_rootfs(&rootfs)?;
    let store = cluster.obuilder_store("obuilder");
    let mut import = cluster.program("obuilder");
    import.args(["image", "import", BASE]).arg(&rootfs);
    import.arg(format!("--store=overlayfs:{}", store.display()));
    checked(&mut import)?;
    let worker = cluster.start_obuilder_worker(POOL, "obuilder", &[])?;
    fs::write(cluster.folder().join("OBuilder.test"), story::spec(BASE))?;
    let submit = ["submit-obuilder", "--local-file", "OBuilder.test"];
    say("Submitting an OBuilder job. This is its log, as it arrives:");
    let code = build(cluster, &submit, source)?;
    if code != 0 {
        return Ok(code);
    }
    say("The same again: each step is in the cache");
    let code = build(cluster, &submit, source)?;
    // What comes next is for another worker.
    cluster.stop_worker(&worker)?;
    Ok(code)
}

/// Builds a Dockerfile. Returns the client's exit code.
fn build_with_docker(cluster: &mut Cluster, source: &Source) -> Result<i32> {
    let engine = find_engine()?;
    let base = unique_busybox(&engine)?;
    say("Starting a worker that builds Dockerfiles");
    let worker = cluster.start_worker(POOL, "docker", &engine, &[])?;
    let dockerfile = story::dockerfile(base.name());
    fs::write(cluster.folder().join("Dockerfile.test"), dockerfile)?;
    say("Submitting a Docker job. This is its log, as it arrives:");
    let submit = ["submit-docker", "--local-dockerfile", "Dockerfile.test"];
    let code = build(cluster, &submit, source)?;
    cluster.stop_worker(&worker)?;
    engine.finish()?;
    Ok(code)
}

/// Submits a job with the client, whose output goes to the screen. Returns the client's exit code.
fn build(cluster: &Cluster, submit: &[&str; 3], source: &Source) -> Result<i32> {
    let [command, option, file] = submit;
    println!();
    // The client is our own child, for the sake of the screen, and is to die with us all the same.
    let mut client = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(cluster.program("ocluster-client").get_program())
        .args([command, "./capnp-secrets/submission.cap"])
        .args(["--cache-hint", "tutorial", "--pool", POOL, option, file])
        .args([&source.url, &source.commit])
        .current_dir(cluster.folder())
        .env("TMPDIR", cluster.holder().temporary_folder())
        .spawn()
        .context("cannot start ocluster-client")?;
    let ended = wait_for("end of the job", LIMIT_TO_BUILD, || Ok(client.try_wait()?));
    let status = match ended {
        Ok(status) => status,
        Err(error) => {
            client.kill()?;
            client.wait()?;
            return Err(error);
        }
    };
    println!();
    let code = status.code().unwrap_or(1);
    match code {
        0 => say("The job succeeded"),
        code => say(&format!("The job failed (exit code {code})")),
    }
    Ok(code)
}

/// Starts an empty engine, because one that already runs has other users. If this user is not root, and so cannot start
/// one, returns the running engine, in which the demo uses unique names.
fn find_engine() -> Result<DockerEngine> {
    if is_root() {
        Setup::ensure(DOCKER_PACKAGES)?;
        say("Starting a Docker engine of its own");
        return DockerEngine::own();
    }
    let engine = DockerEngine::running()?;
    say("Using the Docker engine that is running here");
    engine.context(
        "no Docker engine answers: start one, or run the demo as root, which starts its own",
    )
}

/// Prints what the demo does now.
fn say(what: &str) {
    println!("==> {what}");
}
