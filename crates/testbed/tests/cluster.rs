//! Several workers, pools and clients: scheduling, commands of operators, and failures.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{ProcessState, Rig, Worker, wait_for};
use rustix::process::Signal;
use testbed::{HeldJob, POOL, Program, Site, WAIT_LIMIT, wait_until_gone};

/// The time limit for a client to notice a loss. It needs a moment; a busy machine needs longer. A client that was not
/// told waits for the worker's return for longer.
const NOTICE_LIMIT: Duration = Duration::from_secs(60);

/// The time limit for workers to reconnect to a restarted scheduler. They try every ten seconds.
const RECONNECT_LIMIT: Duration = Duration::from_secs(60);

// Scheduling.

#[test]
fn jobs_stay_in_their_pool_and_hints_stick_to_workers() -> Result<()> {
    let Some(rig) = Rig::or_not_run("jobs_stay_in_their_pool_and_hints_stick_to_workers") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL, "linux-arm32"])?;
    site.worker("w1", &[])?;
    site.worker("w2", &[])?;
    site.cluster
        .start_worker("linux-arm32", "a1", &rig.docker, &[])?;
    let built_on = |hint: &str, pool: &str| -> Result<String> {
        let job = site.dockerfile("FROM busybox\n")?.pool(pool);
        let output = job.args(&["--cache-hint", hint]).run()?.check(0, &[]);
        Ok(output.built_on()?.to_owned())
    };
    let hints = ["alpha", "beta", "gamma"];
    let mut first = Vec::new();
    for hint in hints {
        first.push(built_on(hint, POOL)?);
    }
    // For new hints, the worker that has waited longest is next, so that they take turns.
    assert!(
        first.contains(&"w1".to_owned()) && first.contains(&"w2".to_owned()),
        "{first:?}"
    );
    for round in [hints, ["gamma", "alpha", "beta"], ["beta", "beta", "gamma"]] {
        for hint in round {
            let place = hints.iter().position(|known| *known == hint);
            assert_eq!(
                Some(&built_on(hint, POOL)?),
                place.and_then(|place| first.get(place)),
                "{hint}"
            );
        }
    }
    assert_eq!(built_on("alpha", "linux-arm32")?, "a1");
    site.finish()
}

#[test]
fn clients_get_their_shares() -> Result<()> {
    let Some(rig) = Rig::or_not_run("clients_get_their_shares") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let (alice, bob) = (site.add_client("alice")?, site.add_client("bob")?);
    site.admin(&format!("set-rate {POOL} alice 2"))?
        .check(0, &[]);
    site.admin(&format!("set-rate {POOL} bob 1"))?.check(0, &[]);
    site.admin(&format!("pause {POOL} w1"))?
        .check(0, &["Success."]);
    // Alice submits all of her jobs first, but Bob still gets his share.
    let mut clients = Vec::new();
    for (cap_file, client) in [(&alice, "alice"), (&bob, "bob")] {
        for number in 1..=4 {
            let job = format!("{client}-{number}");
            let submit = site.dockerfile("FROM busybox\n")?.cap(cap_file);
            clients.push(submit.args(&["--cache-hint", &job]).begin()?);
            site.wait_for_state(&format!("{client}:{job}@"))?;
        }
    }
    site.wait_for_state("clients: alice(2)+20m bob(1)+40m")?;
    site.admin(&format!("unpause {POOL} w1"))?
        .check(0, &["Success."]);
    for client in clients {
        client.end()?.check(0, &["Job succeeded"]);
    }
    let log = site.cluster.log("w1")?;
    let order: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("Cache_hint ")?.1.split_whitespace().next())
        .collect();
    assert_eq!(
        order,
        [
            "alice-1", "bob-1", "alice-2", "alice-3", "bob-2", "alice-4", "bob-3", "bob-4"
        ],
    );
    site.finish()
}

#[test]
fn an_urgent_job_goes_first() -> Result<()> {
    let Some(rig) = Rig::or_not_run("an_urgent_job_goes_first") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let held = site.held_job(&[])?;
    let begin = |hint: &str, options: &[&str]| -> Result<Program> {
        let submit = site.dockerfile("FROM busybox\n")?.args(options);
        let client = submit.args(&["--cache-hint", hint]).begin()?;
        site.wait_for_state(&format!(":{hint}@"))?;
        Ok(client)
    };
    let usual = begin("usual", &[])?;
    let urgent = begin("urgent", &["--urgent"])?;
    held.release()?.check(0, &["Job succeeded"]);
    for client in [usual, urgent] {
        client.end()?.check(0, &["Job succeeded"]);
    }
    let log = site.cluster.log("w1")?;
    let (urgent, usual) = (log.find("Cache_hint urgent"), log.find("Cache_hint usual"));
    assert!(urgent.is_some() && urgent < usual, "{log}");
    site.finish()
}

// Commands of operators.

#[test]
fn a_pause_survives_restarts() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_pause_survives_restarts") else {
        return Ok(());
    };
    let mut site = Site::with_workers(&rig, &[])?;
    let worker = site.worker("w1", &[])?;
    site.admin(&format!("pause {POOL} w1"))?
        .check(0, &["Success."]);
    site.wait_for_state("w1 (0): (inactive: admin pause)")?;
    stop(&site, &worker)?;
    site.wait_for_state("disconnected:\n  w1 (paused)")?;
    site.worker("w1", &[])?;
    site.wait_for_state("w1 (0): (inactive: admin pause)")?;
    site.admin(&format!("show {POOL} w1"))?
        .check(0, &["w1: Paused"]);
    // The same after a restart of the scheduler.
    site.cluster.stop_scheduler()?;
    site.cluster.start_scheduler()?;
    site.wait_for_state("w1 (0): (inactive: admin pause)")?;
    site.admin(&format!("unpause {POOL} w1"))?
        .check(0, &["Success."]);
    site.wait_for_state("w1 (0): [] (0 running)")?;

    site.finish()
}

#[test]
fn a_temporary_pause_ends_with_the_connection() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_temporary_pause_ends_with_the_connection") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let worker = site.worker("w1", &[])?;
    site.admin(&format!("pause-worker {POOL} w1"))?
        .check(0, &[]);
    site.wait_for_state("w1 (0): (inactive:")?;
    stop(&site, &worker)?;
    let worker = site.worker("w1", &[])?;
    site.wait_for_state("w1 (0): [] (0 running)")?;
    site.dockerfile("FROM busybox\n")?
        .run()?
        .check(0, &["Building on w1"]);
    // An admin pause remains.
    site.admin(&format!("pause {POOL} w1"))?.check(0, &[]);
    site.admin(&format!("pause-worker {POOL} w1"))?
        .check(0, &[]);
    stop(&site, &worker)?;
    site.worker("w1", &[])?;
    site.wait_for_state("w1 (0): (inactive: admin pause) (0 running)")?;
    site.finish()
}

#[test]
fn draining_waits_for_the_jobs_that_run() -> Result<()> {
    let Some(rig) = Rig::or_not_run("draining_waits_for_the_jobs_that_run") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    let held = site.held_job(&[])?;
    let mut drain = site.begin_admin(&format!("pause --wait {POOL} w1"))?;
    drain.wait_for("w1: Running jobs: 1")?;
    assert!(!drain.has_ended()?);
    let queued = site.dockerfile("FROM busybox\n")?.begin()?;
    held.release()?.check(0, &["now released", "Job succeeded"]);
    let drained = drain.end()?.check(0, &[]);
    assert_eq!(
        drained.stdout,
        "Waiting for jobs to finish…\nw1: Running jobs: 1\nw1: Running jobs: 0\nSuccess.\n"
    );
    site.wait_for_state("(inactive: admin pause) (0 running)")?;
    site.admin(&format!("unpause {POOL} w1"))?
        .check(0, &["Success."]);
    queued.end()?.check(0, &["Building on w1"]);
    site.finish()
}

#[test]
fn an_update_tries_one_worker_first_and_then_the_rest() -> Result<()> {
    let Some(rig) = Rig::or_not_run("an_update_tries_one_worker_first_and_then_the_rest") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let mut workers = Vec::new();
    for name in ["w1", "w2", "w3"] {
        workers.push(site.worker(name, &[])?);
    }
    let mut update = site.begin_admin(&format!("update {POOL}"))?;
    supervise(&mut site, workers, &mut update)?;
    let output = update.end()?.check(
        0,
        &[
            "Testing update on first worker in pool: \"w1\"\nw1: Restarting\n\
             Canary updated OK. Updating the others: [w2 w3]\n",
            "w2: Restarting\n",
            "w3: Restarting\n",
            "\"w2\" restarted OK.\n",
            "\"w3\" restarted OK.\n",
        ],
    );
    assert!(
        output.stdout.ends_with("All pool workers restarted.\n"),
        "{output}"
    );
    site.wait_for_state("capacity: 3\n")?;
    site.finish()
}

#[test]
fn an_update_lets_jobs_finish() -> Result<()> {
    let Some(rig) = Rig::or_not_run("an_update_lets_jobs_finish") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let worker = site.worker("w1", &[])?;
    let held = site.held_job(&[])?;
    let mut update = site.begin_admin(&format!("update {POOL} w1"))?;
    update.wait_for("w1: Running jobs: 1")?;
    held.release()?.check(0, &["now released", "Job succeeded"]);
    supervise(&mut site, vec![worker], &mut update)?;
    let output = update.end()?.check(0, &[]);
    assert_eq!(
        output.stdout,
        "w1: Running jobs: 1\nw1: Restarting\nRestarted\n"
    );
    site.finish()
}

#[test]
fn a_worker_that_has_left_can_be_forgotten() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_worker_that_has_left_can_be_forgotten") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let worker = site.worker("w1", &[])?;
    let forget = format!("forget {POOL} w1");
    site.admin(&forget)?
        .check(1, &["Worker \"w1\" is still connected!"]);
    stop(&site, &worker)?;
    site.wait_for_state("disconnected:\n  w1")?;
    site.admin(&format!("forget {POOL}"))?
        .check(1, &["Candidates are:\nw1 (disconnected)"]);
    site.admin(&forget)?.check(0, &[]);
    assert!(!site.state()?.contains("w1"));
    site.admin(&forget)?
        .check(1, &["Worker \"w1\" not known in this pool"]);
    site.finish()
}

#[test]
fn clients_come_and_go() -> Result<()> {
    let Some(rig) = Rig::or_not_run("clients_come_and_go") else {
        return Ok(());
    };
    let site = Site::with_workers(&rig, &["w1"])?;
    site.admin("list-clients")?.check(0, &["No clients."]);
    let (bob, alice) = (site.add_client("bob")?, site.add_client("alice")?);
    let clients = site.admin("list-clients")?.check(0, &[]);
    assert_eq!(clients.stdout, "alice\nbob\n");
    site.admin("add-client alice")?
        .check(1, &["Client \"alice\" already registered!"]);
    site.dockerfile("FROM busybox\n")?
        .cap(&alice)
        .run()?
        .check(0, &["Job succeeded"]);
    site.wait_for_state("clients: alice(1)+10m")?;
    for (what, why) in [
        (format!("set-rate {POOL} nobody 2"), "No such user"),
        (format!("set-rate {POOL} alice 0"), "rate"),
        (format!("set-rate {POOL} alice inf"), "rate"),
        (
            "remove-client nobody".to_owned(),
            "Unknown client \"nobody\"",
        ),
        (format!("show {POOL}-2"), "No such pool"),
        (format!("pause {POOL} nobody"), "Unknown worker"),
        (format!("update {POOL} nobody"), "Unknown worker"),
    ] {
        site.admin(&what)?.check(1, &[why]);
    }

    // What a removed client has in the queue goes; what bob has stays.
    site.admin(&format!("pause {POOL} w1"))?.check(0, &[]);
    let theirs = site.dockerfile("FROM busybox\n")?.cap(&alice).begin()?;
    let his = site.dockerfile("FROM busybox\n")?.cap(&bob).begin()?;
    site.wait_for_state("alice:")?;
    site.wait_for_state("bob:")?;
    site.admin("remove-client alice")?.check(0, &[]);
    theirs
        .end_within(NOTICE_LIMIT)?
        .check(130, &["cancelled by an operator"]);
    site.dockerfile("FROM busybox\n")?
        .cap(&alice)
        .run()?
        .check(124, &["Unknown persistent service ID"]);
    site.admin(&format!("unpause {POOL} w1"))?.check(0, &[]);
    his.end()?.check(0, &["Job succeeded"]);
    let clients = site.admin("list-clients")?.check(0, &[]);
    assert_eq!(clients.stdout, "bob\n");
    site.finish()
}

// Failures.

#[test]
fn a_killed_worker_is_named_to_the_client_and_its_builds_end() -> Result<()> {
    let name = "a_killed_worker_is_named_to_the_client_and_its_builds_end";
    let Some(rig) = Rig::or_not_run(name) else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    // A job that is lost with one worker.
    for (name, options) in [
        ("w1", &["--attempts=1"][..]),
        ("w2", &["--attempts=1", "--buildkit"]),
    ] {
        let worker = site.worker(name, &[])?;
        let held = site.held_job(options)?;
        ensure_connection_is_private(&site, &worker)?;
        site.cluster.signal(worker.process(), Signal::KILL)?;
        let mark = held.mark().to_owned();
        let HeldJob { mut client, .. } = held;
        client.wait_for(&format!("Worker \"{name}\" lost its connection"))?;
        wait_until_gone(&mark)?;
        site.wait_for_state(&format!("  {name}\n"))?;
        // It might return with the job. When it is started again, it reports that it does not.
        let worker = site.worker(name, &[])?;
        client.end_within(NOTICE_LIMIT)?.check(
            75,
            &[
                &format!("the last one on worker \"{name}\""),
                "submit it again",
            ],
        );
        stop(&site, &worker)?;
    }
    // It can be started again with the same directory.
    site.worker("w1", &[])?;
    site.dockerfile("FROM busybox\n")?
        .run()?
        .check(0, &["Building on w1"]);
    site.finish()
}

/// Checks that only the worker has its connection to the scheduler open: otherwise its death would not close it.
fn ensure_connection_is_private(site: &Site, worker: &Worker) -> Result<()> {
    let pid = worker.process().id();
    let connections = connections_to(site.cluster.port())?;
    let of_worker = sockets_of(pid)?;
    let inode = connections
        .iter()
        .find(|inode| of_worker.contains(inode))
        .context("cannot find the worker's connection")?;
    for entry in fs::read_dir("/proc")? {
        let Some(other) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // The process may have ended.
        let sockets = sockets_of(other).unwrap_or_default();
        ensure!(
            other == pid || !sockets.contains(inode),
            "process {other} has the worker's connection"
        );
    }
    Ok(())
}

/// Returns the inodes of established TCP connections to a port.
fn connections_to(port: u16) -> Result<Vec<String>> {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string("/proc/net/tcp")?;
    let inode = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_wanted =
            columns.get(2)?.ends_with(&format!(":{port:04X}")) && *columns.get(3)? == ESTABLISHED;
        is_wanted.then(|| columns.get(9).map(|inode| (*inode).to_owned()))?
    };
    Ok(table.lines().filter_map(inode).collect())
}

fn sockets_of(pid: i32) -> Result<Vec<String>> {
    let mut sockets = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let target = fs::read_link(entry?.path()).unwrap_or_default();
        let target = target.to_string_lossy();
        let inode = target
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'));
        sockets.extend(inode.map(str::to_owned));
    }
    Ok(sockets)
}

#[test]
fn an_interrupted_worker_cancels_its_jobs() -> Result<()> {
    let Some(rig) = Rig::or_not_run("an_interrupted_worker_cancels_its_jobs") else {
        return Ok(());
    };
    let mut site = Site::start(&rig, &[POOL])?;
    let worker = site.worker("w1", &[])?;
    let held = site.held_job(&["--attempts=1"])?;
    site.cluster.signal(worker.process(), Signal::INT)?;
    let mark = held.mark().to_owned();
    let HeldJob { client, .. } = held;
    client.end()?.check(
        75,
        &[
            "Job cancelled: the worker is shutting down",
            "Disconnected: 1 worker lost with the job",
        ],
    );
    wait_until_gone(&mark)?;
    assert_eq!(site.cluster.holder().wait(worker.process(), WAIT_LIMIT)?, 0);
    site.finish()
}

#[test]
fn a_lost_scheduler_is_named_and_workers_reconnect() -> Result<()> {
    let Some(rig) = Rig::or_not_run("a_lost_scheduler_is_named_and_workers_reconnect") else {
        return Ok(());
    };
    let mut site = Site::with_workers(&rig, &["w1", "w2"])?;
    for signal in [Signal::TERM, Signal::KILL] {
        let mut held = site.held_job(&[])?.leave();
        let mut another = site.held_job(&[])?.leave();
        let scheduler = site.cluster.scheduler().context("no scheduler")?;
        site.cluster.signal(scheduler, signal)?;
        let lost = format!(
            "Lost connection to the scheduler at tcp:127.0.0.1:{}",
            site.cluster.port()
        );
        for job in [&mut held, &mut another] {
            job.client.wait_for(&lost)?;
            job.client.wait_for("reconnecting")?;
        }
        site.cluster.stop_scheduler()?;
        site.cluster.start_scheduler()?;
        wait_for("both workers", RECONNECT_LIMIT, || {
            Ok(site.state()?.contains("capacity: 2\n").then_some(()))
        })?;
        // The builds went on meanwhile.
        for job in [held, another] {
            let ended = job.at(&site).release()?;
            ended.check(0, &["now building", "now released", "Job succeeded"]);
        }
        site.dockerfile("FROM busybox\n")?
            .run()?
            .check(0, &["Job succeeded"]);
    }
    site.finish()
}

// Helpers of the tests.

/// Stops a worker.
fn stop(site: &Site, worker: &Worker) -> Result<()> {
    site.cluster.signal(worker.process(), Signal::TERM)?;
    assert_eq!(site.cluster.holder().wait(worker.process(), WAIT_LIMIT)?, 0);
    Ok(())
}

/// Restarts those of `workers` that exit for an update, until `update` has ended.
fn supervise(site: &mut Site, mut workers: Vec<Worker>, update: &mut Program) -> Result<()> {
    wait_for("end of the update", WAIT_LIMIT, || {
        for worker in &mut workers {
            if site.cluster.holder().state(worker.process())? == ProcessState::Ended(1) {
                *worker = site.worker(worker.name(), &[])?;
            }
        }
        Ok(update.has_ended()?.then_some(()))
    })
}
