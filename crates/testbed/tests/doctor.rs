//! `ocluster doctor` on a fit machine, with a real engine.

use std::process::Command;

use anyhow::{Context as _, Result};
use rig::Rig;
use testbed::{POOL, Site};

/// Runs the doctor on a machine with the engine of `site`, and returns its output.
fn doctor(site: &Site, args: &[&str]) -> Result<String> {
    let mut command: Command = site.cluster.program("ocluster");
    let output = command
        .args(["doctor", "--state-dir=."])
        .args(args)
        .envs(site.rig.docker.env())
        .current_dir(site.folder())
        .output()
        .context("cannot start the doctor")?;
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn the_engine_and_the_cap_file_of_a_fit_machine_are_ok() -> Result<()> {
    let name = "the_engine_and_the_cap_file_of_a_fit_machine_are_ok";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let site = Site::start(&rig, &[POOL])?;
    let cap = format!("./capnp-secrets/pool-{POOL}.cap");
    let output = doctor(&site, &[&cap])?;
    let line = |name: &str| {
        let mut lines = output.lines();
        lines
            .find(|line| line.contains(&format!(" {name}  ")))
            .map(str::to_owned)
    };
    let engine = line("docker").with_context(|| output.clone())?;
    let version = rig
        .docker
        .run(&["version", "--format", "{{.Server.Version}}"])?;
    assert!(
        engine.contains(&format!("engine {}, storage ", version.trim())),
        "{engine}"
    );
    let scheduler = line(&format!("scheduler of {cap}")).with_context(|| output.clone())?;
    assert!(scheduler.starts_with("ok "), "{scheduler}");
    site.finish()
}
