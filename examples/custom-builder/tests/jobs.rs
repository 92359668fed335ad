//! The example as a worker of a real scheduler, with jobs from the usual client.

use std::process::Command;

use anyhow::Result;
use rig::{GitServer, Repository, Rig};
use testbed::{POOL, Program, Site, wait_until_gone};

/// The largest prime of 64 bits: it takes a minute.
const LARGE_PRIME: &str = "18446744073709551557";

/// Returns a cluster whose only worker is the example, if there are machines.
fn cluster(name: &str) -> Result<Option<(Site, Program)>> {
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(None);
    };
    let site = Site::start(&rig, &[POOL])?;
    let mut worker = Command::new(env!("CARGO_BIN_EXE_custom-builder"));
    worker.arg(format!("capnp-secrets/pool-{POOL}.cap"));
    let mut worker = site.begin_command(worker.args(["w1", "./w1"]))?;
    worker.wait_for("Requesting a new job")?;
    Ok(Some((site, worker)))
}

#[test]
fn it_is_under_sixty_lines() {
    let lines = include_str!("../src/main.rs").lines().count();
    assert!(lines < 60, "{lines}");
}

#[test]
fn a_job_has_a_log_and_a_result_or_fails() -> Result<()> {
    let Some((site, worker)) = cluster("a_job_has_a_log_and_a_result_or_fails")? else {
        return Ok(());
    };
    let client = site.custom("factor", "1001\n")?.run()?;
    assert_eq!(
        client.check(0, &[]).stdout,
        "Tailing log:\nBuilding on w1\n7 divides 1001\n11 divides 143\nJob succeeded\n\
         Result: \"7 11 13\"\n"
    );
    site.custom("factor", "many")?
        .run()?
        .check(1, &["\n\"many\": invalid digit found in string\n"])
        .check(1, &["Failed: Build failed."]);
    site.custom("multiply", "2")?.run()?.check(
        1,
        &["\nUnsupported custom job \"multiply\": this worker runs \"factor\", \"script\"\n"],
    );
    drop(worker);
    site.finish()
}

#[test]
fn jobs_run_side_by_side_until_they_are_cancelled() -> Result<()> {
    let name = "jobs_run_side_by_side_until_they_are_cancelled";
    let Some((site, worker)) = cluster(name)? else {
        return Ok(());
    };
    let mut long = site.custom("factor", LARGE_PRIME)?.begin()?;
    long.wait_for("Building on w1")?;
    let other = site.custom("factor", "35")?.run()?;
    assert_eq!(other.check(0, &[]).result()?, "5 7");
    long.interrupt()?;
    long.end()?.check(130, &["Job cancelled"]);
    drop(worker);
    site.finish()
}

#[test]
fn a_script_runs_in_the_source_and_is_stopped_with_its_descendants() -> Result<()> {
    let name = "a_script_runs_in_the_source_and_is_stopped_with_its_descendants";
    let Some((site, worker)) = cluster(name)? else {
        return Ok(());
    };
    let repositories = site.repositories()?;
    let project = Repository::create(&repositories, "project")?;
    let commit = project.commit(&[("note", "from the commit")])?;
    let server = GitServer::daemon(&repositories)?;
    site.custom("script", "cat note; false; echo not reached")?
        .source(&server.url("project"), &[&commit])
        .run()?
        .check(1, &["from the commit", "sh failed with exit-code 1"])
        .check_absent("not reached");
    let mark = testbed::unique("stopped")?;
    let script = format!("sh -c 'sleep 1000; : {mark}' & echo start''ed; wait");
    let mut client = site.custom("script", script)?.begin()?;
    client.wait_for("started")?;
    client.interrupt()?;
    client.end()?.check(130, &["Job cancelled"]);
    wait_until_gone(&mark)?;
    drop(worker);
    site.finish()
}
