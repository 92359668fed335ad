//! Custom jobs: `--custom KIND=COMMAND` on a real worker, and jobs of different weights.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rig::{GitServer, Repository, Rig, wait_for};
use testbed::{POOL, Site, WAIT_LIMIT, unique, wait_until_gone};

/// A program for custom jobs. The first word of the payload selects what it does.
const SCRIPT: &str = r#"#!/bin/bash
read -r what rest
case $what in
  greet) echo "hello $rest"; echo "and goodbye" >&2; echo "greeted $rest" > "$OCLUSTER_CUSTOM_RESULT" ;;
  fail) echo "about to fail"; exit 42 ;;
  die) kill -SEGV $$ ;;
  list) ls; cat note ;;
  count) wc -c ;;
  chatter) yes "$rest" | head -c 20000000 ;;
  secret) wc -c < "$OCLUSTER_CUSTOM_SECRETS/token"; env | grep -c "$rest" || true ;;
  # One of them ignores SIGTERM.
  hang) (trap '' TERM; exec -a "$rest" sleep 1000) & exec -a "$rest" sleep 1000 & echo hanging; wait ;;
  hold) echo holding; until [ -e "$rest" ]; do sleep 0.05; done ;;
esac
"#;

/// Returns a cluster with a worker that runs the script, or `None` without machines.
fn cluster(name: &str, args: &[&str]) -> Result<Option<Site>> {
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(None);
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let script = site.write("our script", SCRIPT)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let custom = format!("--custom=ours='{}'", script.display());
    let mut all = vec![custom.as_str(), "--custom=lint=true"];
    all.extend(args);
    site.worker("w1", &all)?;
    Ok(Some(site))
}

#[test]
fn a_program_runs_the_job_and_reports_its_result() -> Result<()> {
    let Some(site) = cluster("a_program_runs_the_job_and_reports_its_result", &[])? else {
        return Ok(());
    };
    let output = site.custom("ours", "greet world\n")?.run()?;
    assert_eq!(
        output.check(0, &[]).stdout,
        "Tailing log:\nBuilding on w1\nhello world\nand goodbye\nJob succeeded\n\
         Result: \"greeted world\"\n"
    );
    site.custom("ours", "fail\n")?.run()?.check(
        1,
        &["\nabout to fail\nours failed with exit-code 42\nFailed: Build failed.\n"],
    );
    site.custom("ours", "die\n")?
        .run()?
        .check(1, &["\nours failed with signal SIGSEGV\n"]);
    site.custom("deploy", "")?.run()?.check(
        1,
        &["\nUnsupported custom job \"deploy\": this worker runs \"lint\", \"ours\"\n"],
    );
    let repositories = site.repositories()?;
    let project = Repository::create(&repositories, "project")?;
    let commit = project.commit(&[("note", "from the commit\n")])?;
    let server = GitServer::daemon(&repositories)?;
    site.custom("ours", "list\n")?
        .source(&server.url("project"), &[&commit])
        .run()?
        .check(0, &["\nnote\nfrom the commit\nJob succeeded\n"]);
    // The kind is checked before anything is fetched.
    site.custom("deploy", "")?
        .source("git://127.0.0.1:1/nowhere", &[&commit])
        .run()?
        .check(1, &["Unsupported custom job"])
        .check_absent("git-");
    site.finish()
}

#[test]
fn a_payload_and_a_log_may_be_large() -> Result<()> {
    let Some(site) = cluster("a_payload_and_a_log_may_be_large", &["--log-limit=30"])? else {
        return Ok(());
    };
    let mut payload = b"count\n".to_vec();
    payload.resize(7_000_000, 0xff);
    site.custom("ours", &payload)?
        .run()?
        .check(0, &["\n6999994\n"]);
    // A program need not read it.
    site.custom("lint", &payload)?
        .run()?
        .check(0, &["Job succeeded"]);
    let output = site.custom("ours", "chatter abcdefg\n")?.run()?;
    let output = output.check(0, &["Job succeeded"]);
    assert_eq!(output.stdout.matches("abcdefg\n").count(), 2_500_000);
    // From standard input.
    site.write("greeting", "greet pipe\n")?;
    let output = client(&site, "--kind=ours --payload=-")
        .stdin(fs::File::open(site.folder().join("greeting"))?)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.contains("\nhello pipe\n"), "{output:?}");
    let too_large = vec![b'x'; 9 << 20];
    site.custom("lint", too_large)?.run()?.check(
        124,
        &["option '--payload': the payload is larger than 8388608 bytes"],
    );
    site.finish()
}

/// Returns the command line of a client that submits a custom job.
fn client(site: &Site, args: &str) -> Command {
    let mut client = site.cluster.program("ocluster-client");
    client
        .args(["submit-custom", "./capnp-secrets/submission.cap"])
        .arg(format!("--pool={POOL}"))
        .args(args.split_whitespace())
        .stderr(Stdio::null());
    client
}

#[test]
fn a_log_beyond_its_limit_ends_the_program() -> Result<()> {
    let name = "a_log_beyond_its_limit_ends_the_program";
    let Some(site) = cluster(name, &["--log-limit=1"])? else {
        return Ok(());
    };
    site.custom("ours", "chatter abcdefg\n")?.run()?.check(
        1,
        &["\nthe job's log is larger than this worker allows (1048576 bytes)\n"],
    );
    site.finish()
}

#[test]
fn a_secret_is_in_memory_and_nowhere_else() -> Result<()> {
    let Some(site) = cluster("a_secret_is_in_memory_and_nowhere_else", &[])? else {
        return Ok(());
    };
    let secret = unique("hush")?;
    site.write("token", &secret)?;
    site.custom("ours", format!("secret {secret}\n"))?
        .args(&["--secret", "token:token"])
        .run()?
        .check(0, &[&format!("\n{}\n0\n", secret.len())])
        .check_absent(&secret);
    let log = site.cluster.log("w1")?;
    ensure!(!log.contains(&secret), "{log}");
    let grep = Command::new("grep")
        .args(["-rl", &secret, "/dev/shm"])
        .arg(site.folder().join("worker-w1"))
        .output()?;
    ensure!(grep.stdout.is_empty(), "{grep:?}");
    site.finish()
}

#[test]
fn cancelling_stops_all_that_a_program_has_started() -> Result<()> {
    let name = "cancelling_stops_all_that_a_program_has_started";
    let Some(site) = cluster(name, &[])? else {
        return Ok(());
    };
    let mark = unique("hang")?;
    let mut client = site.custom("ours", format!("hang {mark}\n"))?.begin()?;
    client.wait_for("hanging")?;
    client.interrupt()?;
    client.end()?.check(130, &["Job cancelled"]);
    wait_until_gone(&mark)?;
    // So does the end of the worker, even if it is killed.
    let mut client = site.custom("ours", format!("hang {mark}\n"))?.begin()?;
    client.wait_for("hanging")?;
    drop(site);
    wait_until_gone(&mark)?;
    Ok(())
}

#[test]
fn two_heavy_jobs_take_turns() -> Result<()> {
    let args = ["--capacity=3", "--job-weight=^heavy=2"];
    let Some(site) = cluster("two_heavy_jobs_take_turns", &args)? else {
        return Ok(());
    };
    let hold = |hint: &str| -> Result<_> {
        let flag = site.folder().join(format!("{hint}.done"));
        let job = site.custom("ours", format!("hold {}\n", flag.display()))?;
        let mut client = job.args(&["--cache-hint", hint]).begin()?;
        client.wait_for("Building on w1")?;
        Ok((client, flag))
    };
    let (mut one, one_done) = hold("heavy-1")?;
    one.wait_for("holding")?;
    let (mut two, two_done) = hold("heavy-2")?;
    two.wait_for(
        "Waiting for other jobs on this worker: they take 2 of its capacity of 3, and this one takes 2",
    )?;
    // A light job would fit, but must not overtake the heavy one, so it stays with the scheduler.
    let light = site.custom("lint", "")?;
    let light = light.args(&["--cache-hint", "light"]).begin()?;
    site.wait_for_state(":light@")?;
    fs::write(&one_done, "")?;
    one.end()?.check(0, &["Job succeeded"]);
    two.wait_for("holding")?;
    // Now it runs beside the heavy one.
    light.end()?.check(0, &["Job succeeded"]);
    ensure!(!two.has_ended()?, "the heavy job is held");
    fs::write(&two_done, "")?;
    two.end()?.check(0, &["Job succeeded"]);
    wait_for("log", WAIT_LIMIT, || {
        let log = site.cluster.log("w1")?;
        Ok(log.contains("Job weight 2").then_some(()))
    })
    .context("the worker does not log weights")?;
    site.finish()
}
