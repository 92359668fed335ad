//! Workers that are frozen, restarted on lost machines or disconnected by the network, beside working ones.

mod outages;

use std::time::Duration;

use anyhow::{Result, ensure};
use rig::Rig;
use rustix::process::Signal;
use testbed::{POOL, Program, Site, wait_until_gone};

/// The time limit for other workers to do the queued jobs. On an idle machine they need half of it.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(90);

#[test]
fn the_queue_of_a_frozen_worker_is_done_by_others() -> Result<()> {
    let Some(rig) = Rig::or_not_run("the_queue_of_a_frozen_worker_is_done_by_others") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let frozen = site.worker("w1", &[])?;
    site.worker("w2", &[])?;
    site.admin(&format!("pause {POOL} w2"))?.check(0, &[]);
    let held = site.held_job(&["--cache-hint", "cached"])?;
    site.admin(&format!("unpause {POOL} w2"))?.check(0, &[]);
    // They wait for the busy worker with their cache, although another one is free.
    let mut queued = Vec::new();
    for number in 1..=2 {
        let submit = site.dockerfile("FROM busybox\n")?;
        queued.push(submit.args(&["--cache-hint", "cached"]).begin()?);
        site.wait_for_state(&format!("w1 ({number}0): ["))?;
    }
    site.cluster.signal(frozen.process(), Signal::STOP)?;
    for client in queued {
        client
            .end_within(TAKEOVER_LIMIT)?
            .check(0, &["Building on w2", "Job succeeded"]);
    }

    // The state shows the reason.
    let state = site.state()?;
    ensure!(
        state.contains("  w1 (0): (inactive: not answering) (1 running)\n"),
        "{state}"
    );
    let (above, running) = state.split_once("\nrunning:\n").unwrap_or_default();
    let row = ["w1", "submission", "cached"];
    ensure!(row.iter().all(|cell| running.contains(cell)), "{state}");
    ensure!(above.contains("\nclients: submission(1)"), "{state}");
    ensure!(state.contains("\nnot answering:\n  w1  for "), "{state}");
    let log = site.cluster.log("scheduler")?;
    ensure!(log.contains("Worker \"w1\" has not answered for "), "{log}");

    // It continues its job, and gets others.
    site.cluster.signal(frozen.process(), Signal::CONT)?;
    site.wait_for_state("  w1 (0): [] (1 running)\n")?;
    held.release()?.check(0, &["Job succeeded"]);
    site.admin(&format!("pause {POOL} w2"))?.check(0, &[]);
    site.dockerfile("FROM busybox\n")?
        .run()?
        .check(0, &["Building on w1", "Job succeeded"]);
    site.finish()
}

#[test]
fn a_worker_that_froze_while_it_waited_gets_no_job() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_worker_that_froze_while_it_waited_gets_no_job") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let frozen = site.worker("w1", &[])?;
    site.worker("w2", &[])?;
    site.cluster.signal(frozen.process(), Signal::STOP)?;
    // A job may still be assigned to a worker that has just stopped, so wait until that is noticed.
    site.wait_for_state("\nnot answering:\n  w1  for ")?;
    for _ in 0..3 {
        site.dockerfile("FROM busybox\n")?
            .run()?
            .check(0, &["Building on w2", "Job succeeded"]);
    }
    site.cluster.signal(frozen.process(), Signal::CONT)?;
    site.wait_for_state("  w1 (0): [] (0 running)\n")?;
    site.finish()
}

/// Starts another process with the name of a worker, as on a machine that was restarted.
fn start_again(site: &Site, name: &str) -> Result<Program> {
    let mut worker = site.cluster.program("ocluster-worker");
    worker
        .envs(site.rig.docker.env())
        .arg(format!("./capnp-secrets/pool-{POOL}.cap"))
        .arg(format!("--state-dir=./{name}-again"))
        .arg(format!("--name={name}"))
        .args(["--capacity=1", "--docker-pull=missing"]);
    site.begin_command(&mut worker)
}

#[test]
fn a_restarted_worker_takes_over_its_name() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_restarted_worker_takes_over_its_name") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let lingering = site.worker("w1", &[])?;
    let held = site.held_job(&["--attempts=1"])?;

    // The name of a worker that answers is not taken over.
    let mut namesake = start_again(&site, "w1")?;
    namesake.wait_for("Worker already registered!")?;
    ensure!(!namesake.has_ended()?, "{}", namesake.output_so_far());

    site.cluster.signal(lingering.process(), Signal::STOP)?;
    site.wait_for_log("scheduler", "with the one at ")?;
    site.wait_for_state("  w1 (0): [] (0 running)\n")?;
    let mark = held.mark().to_owned();
    held.client.end()?.check(
        75,
        &["1 worker lost with the job, the last one on worker \"w1\""],
    );
    site.dockerfile("FROM busybox\n")?
        .run()?
        .check(0, &["Building on w1", "Job succeeded"]);

    // The old process notices that it was replaced, and cleans up.
    site.cluster.signal(lingering.process(), Signal::CONT)?;
    wait_until_gone(&mark)?;
    site.wait_for_log("w1", "Worker already registered!")?;
    drop(namesake);
    site.finish()
}
