//! `cargo xtask demo`: a cluster on this machine builds something, and goes away again.

mod cluster;
mod story;

use std::process::ExitCode;

use anyhow::Result;
use rig::{DEMO_PACKAGES, DockerEngine, Setup, import_busybox};

use crate::project::build_programs;
use cluster::Cluster;

/// Runs the demo. Its exit code is the job's.
///
/// # Errors
/// When something is missing, or does not start.
pub(crate) fn run() -> Result<ExitCode> {
    say("Building the programs");
    let programs = build_programs()?;
    let engine = find_engine()?;
    let base = import_busybox(&engine, "busybox")?;

    say("Making a git repository with one commit, and serving it on loopback");
    let source = story::Source::serve()?;
    say("Starting a scheduler and a worker, which meet over TLS");
    let cluster = Cluster::start(&programs, &engine)?;
    say("Submitting a job. This is its log, as it arrives:");
    println!();
    let code = cluster.build(&story::dockerfile(base.name()), &source)?;
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
