//! Jobs that the scheduler keeps, with real programs: found again, followed across restarts, cancelled, retried.

use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::{Cluster, POOL, install_fake_docker};
use crate::harness::{Outcome, Place, Running};

pub(crate) const CAP: &str = "./capnp-secrets/submission.cap";

/// Runs a command of the client.
pub(crate) fn client(place: &Place, command: &str, args: &str) -> Outcome {
    place.run(&format!("ocluster-client {command} {CAP} {args}"))
}

pub(crate) fn submit(options: &str, dockerfile: &str) -> String {
    format!(
        "ocluster-client submit-docker {CAP} --pool={POOL} {options} --local-dockerfile {dockerfile}"
    )
}

/// Submits a job that goes on without its client, and returns its id.
pub(crate) fn detach(place: &Place, options: &str, dockerfile: &str) -> String {
    let detached = place
        .run(&submit(&format!("--detach {options}"), dockerfile))
        .success();
    let id = detached.stdout.trim_end().to_owned();
    assert_eq!(id.len(), 12, "{}", detached.stdout);
    id
}

#[test]
fn a_detached_job_is_found_again() {
    let mut cluster = Cluster::start();
    let place = &cluster.place;
    let id = detach(
        place,
        "--label branch=main --key build-1",
        "Dockerfile.wait",
    );
    let same = detach(place, "--key build-1", "Dockerfile.wait");
    assert_eq!(same, id, "the same key is the same job");
    let listed = client(place, "jobs", "--label branch=main")
        .success()
        .stdout;
    assert!(
        listed.contains(&id) && listed.contains("branch=main"),
        "{listed}"
    );
    let _w1 = cluster.worker("w1");
    let place = &cluster.place;
    let mut following = place.start(&format!("ocluster-client logs -f {CAP} {}", &id[..8]));
    following.wait_for_output("RUN WAIT");
    let running = client(place, "status", &id).success().stdout;
    assert!(running.contains("running on w1"), "{running}");
    cluster.release_builds();
    let log = following.wait().success().stdout;
    assert!(log.ends_with("Job succeeded\n"), "{log}");
    let place = &cluster.place;
    let waited = client(place, "wait", &id).success();
    assert_eq!(waited.stdout, format!("{id} succeeded\n"));
    assert_eq!(client(place, "logs", &id).success().stdout, log);
    let tail = client(place, "logs", &format!("--tail 1 {id}"))
        .success()
        .stdout;
    assert_eq!(tail, "Job succeeded\n");
    let gone = client(place, "cancel", &id);
    let error = format!("cannot cancel job {id}: it has ended");
    assert!(gone.stderr.contains(&error), "{}", gone.stderr);
}

#[test]
fn what_failed_is_retried_and_what_is_queued_is_cancelled_by_label() {
    let mut cluster = Cluster::start();
    let queued = detach(&cluster.place, "--label pr=1", "Dockerfile");
    let other = detach(&cluster.place, "", "Dockerfile.fail");
    let cancelled = client(&cluster.place, "cancel", "--label pr=1").success();
    assert_eq!(cancelled.stdout, format!("Cancelled job {queued}.\n"));
    let _w1 = cluster.worker("w1");
    let place = &cluster.place;
    let waited = client(place, "wait", &format!("{queued} {other}"));
    assert_eq!(waited.code(), 130, "{}", waited.transcript());
    assert!(
        waited
            .stdout
            .contains(&format!("{other} failed with exit code 1\n")),
        "{}",
        waited.stdout
    );
    let again = client(place, "retry", &other);
    assert_eq!(again.code(), 1, "{}", again.transcript());
    assert!(again.stdout.contains("RUN FAIL"), "{}", again.stdout);
    let detached = client(place, "retry", &format!("--detach {queued}")).success();
    let waited = client(place, "wait", detached.stdout.trim_end()).success();
    assert!(waited.stdout.ends_with(" succeeded\n"), "{}", waited.stdout);
    let refused = client(place, "retry", detached.stdout.trim_end());
    assert!(
        refused
            .stderr
            .contains("it succeeded, so its description is not kept"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_shared_cap_file_shows_one_job() {
    let mut cluster = Cluster::start();
    let id = detach(&cluster.place, "", "Dockerfile");
    let _w1 = cluster.worker("w1");
    let place = &cluster.place;
    let shared = client(place, "share", &id).success().stdout;
    place.write("job.cap", &shared);
    let run = |line: &str| place.run(&format!("ocluster-client -c job.cap {line}"));
    assert_eq!(run("wait").success().stdout, "The job succeeded\n");
    assert!(run("logs").success().stdout.contains("RUN date"));
    assert!(
        run("status")
            .success()
            .stdout
            .starts_with(&format!("Job {id}: succeeded\n"))
    );
    let refused = run("jobs");
    assert_eq!(refused.code(), 124);
    let error = "cannot use cap file \"job.cap\": it is for one job";
    assert!(refused.stderr.contains(error), "{}", refused.stderr);
}

#[test]
fn each_command_prints_json() {
    let mut cluster = Cluster::start();
    let id = detach(&cluster.place, "--label pr=1", "Dockerfile.fail");
    let _w1 = cluster.worker("w1");
    let place = &cluster.place;
    let json = |command: &str, args: &str| -> Value {
        let printed = client(place, command, &format!("--output json {args}")).stdout;
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    };
    let waited = json("wait", &id);
    assert_eq!(
        (&waited["id"], &waited["state"]),
        (&id.as_str().into(), &"failed".into())
    );
    assert_eq!(waited["error"]["kind"], "build_failed");
    let jobs = json("jobs", "");
    assert_eq!(jobs["jobs"][0]["labels"]["pr"], "1");
    let status = json("status", &id);
    assert_eq!(
        (&status["id"], &status["retryable"]),
        (&id.as_str().into(), &true.into())
    );
    assert_eq!(status["runs"][0]["worker"], "w1");
    let log = client(place, "logs", &format!("--output json {id}"))
        .success()
        .stdout;
    assert!(
        log.lines()
            .all(|line| line.starts_with("{\"event\":\"log\"")),
        "{log}"
    );
    let shared = json("share", &id);
    assert!(
        shared["sturdy_ref"]
            .as_str()
            .unwrap()
            .starts_with("capnp://")
    );
    let again = json("retry", &format!("--detach {id}"));
    assert_eq!(again["event"], "submitted");
}

/// Starts a scheduler that is at the same place after a restart.
pub(crate) fn start_scheduler(place: &Place) -> Running {
    let here = place.path().display();
    let mut scheduler = place.start(&format!(
        "ocluster-scheduler --capnp-secret-key-file=./capnp-secrets/key.pem \
         --capnp-listen-address=unix:{here}/socket --state-dir=./scheduler --pools={POOL}"
    ));
    scheduler.wait_for("pool-linux-x86_64.cap");
    scheduler
}

#[test]
fn a_client_reads_on_when_the_scheduler_was_killed() {
    let place = Place::new();
    install_fake_docker(&place);
    std::fs::create_dir(place.path().join("capnp-secrets")).unwrap();
    let scheduler = start_scheduler(&place);
    let worker = format!(
        "ocluster-worker ./capnp-secrets/pool-{POOL}.cap --state-dir=./w1 --name=w1 --capacity=1"
    );
    let mut w1 = place.start(&worker);
    w1.wait_for("Requesting a new job...");
    let mut client = place.start(&submit("", "Dockerfile.wait"));
    client.wait_for_output("RUN WAIT");
    scheduler.signal(Signal::KILL);
    client.wait_for("reconnecting");
    drop(scheduler);
    let _scheduler = start_scheduler(&place);
    place.write("bin/released", "");
    let ended = client.wait().success();
    let begun = ended.stdout.matches("Building on w1\n").count();
    let attempts = ended.stderr.matches("begins anew").count();
    assert_eq!(begun, attempts + 1, "{}\n{}", ended.stdout, ended.stderr);
    let lost = ended.stderr.matches("reconnecting").count();
    assert_eq!(lost, 1, "one line: {}", ended.stderr);
}

#[test]
fn a_client_that_was_killed_returns_in_time_or_loses_its_job() {
    let cluster = Cluster::start();
    let place = &cluster.place;
    let mut hasty = place.start(&submit("--return-timeout 0.2", "Dockerfile"));
    let mut patient = place.start(&submit("--return-timeout 3600", "Dockerfile"));
    hasty.wait_for("Submitted job ");
    patient.wait_for("Submitted job ");
    hasty.signal(Signal::KILL);
    patient.signal(Signal::KILL);
    let id = |running: &Running| {
        let stderr = running.stderr();
        let (_, rest) = stderr.split_once("Submitted job ").unwrap();
        rest[..12].to_owned()
    };
    // To wait for it is to be its client, so it only looks.
    let hasty = id(&hasty);
    let is_cancelled = || {
        client(place, "jobs", "--state cancelled")
            .stdout
            .contains(&hasty)
    };
    let begin = std::time::Instant::now();
    while !is_cancelled() {
        assert!(
            begin.elapsed() < crate::harness::LIMIT,
            "it is never cancelled"
        );
    }
    let status = client(place, "status", &id(&patient)).success().stdout;
    assert!(status.contains(": queued: "), "{status}");
}
