//! How the client ends: each end of a job has its exit code, and its kind in JSON, that scripts act on.

use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::{Cluster, POOL};
use crate::harness::{Outcome, Place};

/// Returns a command line of the client that submits a Dockerfile and prints JSON.
fn submit(cap: &str, pool: &str, dockerfile: &str) -> String {
    format!(
        "ocluster-client submit-docker --connect {cap} --output=json --pool={pool} --local-dockerfile {dockerfile}"
    )
}

/// Returns the exit code and the error of the last line, and checks that they agree.
#[track_caller]
fn end(ended: &Outcome) -> (i32, String, Value) {
    let last = ended.stdout.lines().last().unwrap_or_default();
    let object: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("no JSON: {last}"));
    let error = &object["error"];
    let kind = error["kind"].as_str().unwrap_or_default().to_owned();
    assert_eq!(error["exit_code"], ended.code(), "{last}");
    (ended.code(), kind, error.clone())
}

const CAP: &str = "./capnp-secrets/submission.cap";

#[test]
fn a_failed_build_has_the_code_of_its_command() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let ended = cluster.place.run(&submit(CAP, POOL, "Dockerfile.fail"));
    let (code, kind, error) = end(&ended);
    assert_eq!((code, kind.as_str()), (1, "build_failed"));
    assert_eq!(error["command_exit_code"], 1);
    let event: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(event["event"], "failed");
    assert!(event["ran_seconds"].is_f64() && event["waited_seconds"].is_f64());
}

#[test]
fn a_worker_reports_the_exit_code_of_a_custom_command() {
    let mut cluster = Cluster::start();
    let custom = ("OCLUSTER_CUSTOM", "git-lint=sh -c 'exit 42'");
    let _w1 = cluster.worker_with("w1", &[custom]);
    let ended = cluster.place.run(&format!(
        "ocluster-client submit-custom -c {CAP} --output=json --pool={POOL} --kind=git-lint"
    ));
    let (code, kind, error) = end(&ended);
    assert_eq!((code, kind.as_str()), (1, "build_failed"));
    // From such a line in the log, the client would not take it: it looks like a fetch that failed.
    assert!(
        ended.stdout.contains("git-lint failed with exit-code 42"),
        "{}",
        ended.stdout
    );
    assert_eq!(error["command_exit_code"], 42, "{}", ended.stdout);
}

#[test]
fn a_job_that_takes_too_long_has_timed_out() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker_with("w1", &[("OCLUSTER_JOB_TIMEOUT", "0.3")]);
    let ended = cluster.place.run(&submit(CAP, POOL, "Dockerfile.wait"));
    let (code, kind, _) = end(&ended);
    assert_eq!((code, kind.as_str()), (1, "timed_out"), "{}", ended.stdout);
    cluster.release_builds();
}

#[test]
fn a_lost_job_may_be_tried_again() {
    let mut cluster = Cluster::start_given(&[("OCLUSTER_WORKER_GRACE", "1")]);
    let w1 = cluster.worker("w1");
    let line = submit(CAP, POOL, "Dockerfile.wait") + " --attempts=1";
    let mut client = cluster.place.start(&line);
    client.wait_for_output("RUN WAIT");
    w1.signal(Signal::KILL);
    let (code, kind, error) = end(&client.wait());
    assert_eq!((code, kind.as_str()), (75, "job_lost"));
    let hints = error["hints"].to_string();
    assert!(hints.contains("submit it again"), "{hints}");
    cluster.release_builds();
}

#[test]
fn an_interrupted_client_ends_as_the_signal_does() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    for (signal, expected) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut client = cluster.place.start(&submit(CAP, POOL, "Dockerfile.wait"));
        client.wait_for_output("RUN WAIT");
        client.signal(signal);
        let (code, kind, _) = end(&client.wait());
        assert_eq!((code, kind.as_str()), (expected, "interrupted"));
    }
    cluster.release_builds();
}

#[test]
fn a_mistake_is_distinguished_from_an_unreachable_scheduler() {
    let mut cluster = Cluster::start();
    let ended = cluster.place.run(&submit(CAP, "nowhere", "Dockerfile"));
    let (code, kind, _) = end(&ended);
    assert_eq!((code, kind.as_str()), (124, "no_such_pool"));
    // The cap file of another service of the same scheduler.
    let ended = cluster
        .place
        .run(&submit("./capnp-secrets/admin.cap", POOL, "Dockerfile"));
    let (code, kind, _) = end(&ended);
    assert_eq!((code, kind.as_str()), (124, "wrong_cap"));
    // A client that was removed.
    let _added = cluster.admin("add-client", "alice").success();
    let cap = std::fs::read_to_string(cluster.place.path().join(CAP)).expect("a cap file");
    let (begin, _) = cap.rsplit_once('/').expect("a URI");
    cluster.place.write(
        "old.cap",
        &format!("{begin}/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    );
    let ended = cluster.place.run(&submit("old.cap", POOL, "Dockerfile"));
    let (code, kind, _) = end(&ended);
    assert_eq!((code, kind.as_str()), (124, "wrong_cap"));
    // Nobody listens any more.
    cluster.scheduler.signal(Signal::KILL);
    cluster.scheduler.wait_until_ended();
    let ended = cluster.place.run(&submit(CAP, POOL, "Dockerfile"));
    let (code, kind, _) = end(&ended);
    assert_eq!((code, kind.as_str()), (69, "scheduler_unreachable"));
    let ended = cluster
        .place
        .run("ocluster-admin show ./capnp-secrets/admin.cap --output=json");
    let (code, kind, _) = end(&ended);
    assert_eq!((code, kind.as_str()), (69, "scheduler_unreachable"));
}

#[test]
fn an_invalid_command_line_is_reported() {
    let ended = Place::new().run("ocluster-client submit-docker --output=json");
    let (code, kind, _) = end(&ended);
    assert_eq!((code, kind.as_str()), (124, "usage"));
}
