//! What the scheduler and the workers log about a job: its id on every line, for people or as JSON, and never a secret.

use std::collections::BTreeSet;

use expect_test::expect;
use serde_json::Value;

use crate::cluster::{Cluster, POOL};
use crate::harness::Place;

/// Makes a program log as JSON.
const JSON: (&str, &str) = ("OCLUSTER_LOG_FORMAT", "json");

/// Makes a program log everything.
const DEBUG: (&str, &str) = ("OCLUSTER_VERBOSITY", "debug");

/// Returns log lines without the time that each begins with.
pub(crate) fn without_times(text: &str) -> String {
    let time = |word: &str| word.len() == 8 && word.split([':', '.']).count() == 3;
    let lines = text.lines().map(|line| {
        let mut words = line.splitn(3, ' ').collect::<Vec<_>>();
        // A transcript marks lines of standard error.
        let marked = words.first() == Some(&"2>");
        if marked {
            words = line.trim_start_matches("2> ").splitn(3, ' ').collect();
        }
        match words.as_slice() {
            [_, second, rest] if time(second) => {
                format!("{}{}\n", if marked { "2> " } else { "" }, rest.trim_start())
            }
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// Reads lines of JSON, and checks that each has what each should have.
fn objects(text: &str) -> Vec<Value> {
    let read = |line: &str| {
        let object: Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        for name in ["timestamp", "level", "target", "message"] {
            assert!(object[name].is_string(), "no {name}: {line}");
        }
        object
    };
    text.lines().map(read).collect()
}

#[test]
fn a_job_can_be_followed_through_the_json_of_both_programs() {
    let mut cluster = Cluster::start_given(&[JSON]);
    let mut w1 = cluster.worker_with("w1", &[JSON]);
    let _first = cluster.submit("Dockerfile").wait().success();
    // Otherwise the second job may come before the worker asks for it, and go to the backlog.
    cluster.comes_to_show("queue: (ready) [w1]");
    let _second = cluster.submit("Dockerfile.fail").wait();
    cluster.scheduler.wait_for("Job failed after");
    w1.wait_for("Job failed: ");

    let scheduler = objects(&cluster.scheduler.stderr());
    let ticket = format!("{POOL}/2");
    let about: Vec<&Value> = scheduler
        .iter()
        .filter(|line| line["ticket"] == ticket.as_str())
        .collect();
    let logged: Vec<String> = about
        .iter()
        .map(|line| {
            let message = line["message"].as_str().unwrap();
            let message = message.split(" after ").next().unwrap();
            format!(
                "{} {message}: client={} worker={} nth={}\n",
                line["level"], line["client"], line["worker"], line["nth"]
            )
        })
        .collect();
    expect![[r#"
        "info" Received new job request from "submission" (urgent=false): client="submission" worker=null nth=null
        "info" Assigning tutorial to "w1" (preferred): client=null worker=null nth=null
        "info" Assigned job to "w1": client="submission" worker="w1" nth=2
        "info" "w1" takes tutorial from its local queue: client=null worker=null nth=null
        "info" Job failed: client=null worker="w1" nth=null
    "#]].assert_eq(&logged.concat());
    let nth = about.iter().find_map(|line| line["nth"].as_u64()).unwrap();
    assert_eq!(nth, 2);

    // By that number, and the worker's name, it is found there.
    let worker = objects(&w1.stderr());
    let about = worker.iter().filter(|line| line["job"]["nth"] == nth);
    let logged: Vec<String> = about
        .map(|line| {
            let message = line["message"].as_str().unwrap();
            let message = message.split([':', '{']).next().unwrap();
            format!("{} {message} {}\n", line["level"], line["job"])
        })
        .collect();
    expect![[r#"
        "info" Cache_hint tutorial {"hint":"tutorial","nth":2,"number":2}
        "info" Job weight 1 {"hint":"tutorial","nth":2,"number":2}
        "info" Durable job {"hint":"tutorial","nth":2,"number":2}
        "info" Got request to build (tutorial) {"hint":"tutorial","nth":2,"number":2}
        "info" Exec(docker-build) {"hint":"tutorial","nth":2,"number":2}
        "info" Build duration {"hint":"tutorial","nth":2,"number":2}
        "info" Job failed {"hint":"tutorial","nth":2,"number":2}
    "#]]
    .assert_eq(&logged.concat());
}

#[test]
fn a_line_for_people_ends_with_its_job() {
    let mut cluster = Cluster::start();
    let mut w1 = cluster.worker("w1");
    let _job = cluster.submit("Dockerfile").wait().success();
    w1.wait_for("Job succeeded");
    let logged = without_times(&w1.stderr());
    let line = logged.lines().find(|line| line.contains("Job succeeded"));
    expect![[r#"worker [INFO] Job succeeded [job number=1 nth=1 hint="tutorial"]"#]]
        .assert_eq(line.unwrap());
    cluster.scheduler.wait_for("Job succeeded after");
    let logged = without_times(&cluster.scheduler.stderr());
    let line = logged.lines().find(|line| line.contains("Assigned job to"));
    expect![[
        r#"scheduler [INFO] Assigned job to "w1" ticket=linux-x86_64/1 client=submission worker=w1 nth=1"#
    ]]
    .assert_eq(line.unwrap());
}

#[test]
fn no_log_has_a_secret_at_any_level() {
    for format in ["text", "json"] {
        let variables = [
            DEBUG,
            ("OCLUSTER_LOG_FORMAT", format),
            ("OCLUSTER_ALLOW_PUSH", "localhost:5000/repo"),
        ];
        let mut cluster = Cluster::start_given(&variables);
        let mut w1 = cluster.worker_with("w1", &variables);
        let place = &cluster.place;
        place.write("token", "hunter2-the-secret\n");
        place.write("password", "hunter2-the-password\n");
        let client = place.run_with(
            &variables,
            &format!(
                "ocluster-client submit-docker ./capnp-secrets/submission.cap --pool={POOL} \
                 --local-dockerfile=Dockerfile --buildkit --secret=token:token --push-to=localhost:5000/repo:tag \
                 --push-user=me --push-password=password"
            ),
        );
        w1.wait_for("docker-login");
        w1.wait_for("Build duration");
        let cap =
            std::fs::read_to_string(place.path().join("capnp-secrets/submission.cap")).unwrap();
        let mut secrets = BTreeSet::from(["hunter2"]);
        secrets.insert(cap.trim().rsplit('/').next().unwrap());
        for log in [
            &w1.stderr(),
            &cluster.scheduler.stderr(),
            &client.stderr,
            &client.stdout,
        ] {
            for secret in &secrets {
                assert!(!log.contains(secret), "{format}: {secret} is in {log}");
            }
        }
    }
}

#[test]
fn messages_before_and_after_a_program_runs_are_json_too() {
    let place = Place::new();
    let variables = [JSON, ("OCLUSTER_CAPACTIY", "3")];
    let ended = place.run_with(
        &variables,
        "ocluster-worker nowhere.cap --name=w1 --state-dir=s",
    );
    assert_eq!(ended.code(), 124);
    let levels: Vec<Value> = objects(&ended.stderr)
        .iter()
        .map(|line| line["level"].clone())
        .collect();
    assert_eq!(levels, ["warning", "error"]);
}
