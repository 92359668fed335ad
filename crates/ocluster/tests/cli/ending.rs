//! How signals end the scheduler and workers, and what happens to jobs.

use cluster_api::RpcErrorKind;
use expect_test::expect;
use rustix::process::Signal;

use crate::attached::AttachedJob;
use crate::cluster::{Cluster, POOL};
use crate::harness::Running;

/// Starts a job that waits on a worker of its own, and is lost with it.
fn job_on_a_worker(cluster: &mut Cluster, variables: &[(&str, &str)]) -> (Running, Running) {
    let worker = cluster.worker_with("w1", variables);
    let mut client = cluster.submit("Dockerfile.wait --attempts=1");
    client.wait_for_output("RUN WAIT");
    (worker, client)
}

#[test]
fn a_worker_finishes_its_jobs_and_others_go_elsewhere() {
    let mut cluster = Cluster::start();
    let (mut w1, first) = job_on_a_worker(&mut cluster, &[]);
    // Similar jobs go to the same worker.
    let second = cluster.submit("Dockerfile");
    cluster.scheduler.wait_for("Adding tutorial to the backlog");
    w1.signal(Signal::TERM);
    w1.wait_for("Waiting for 1 job to end");
    cluster.scheduler.wait_for("\"w1\" marked inactive");
    let _w2 = cluster.worker("w2");
    let second = second.wait().success();
    assert!(
        second.stdout.contains("Building on w2"),
        "{}",
        second.stdout
    );
    cluster.release_builds();
    expect![[r#"
        $ ocluster-client submit-docker ./capnp-secrets/submission.cap --cache-hint tutorial \
            --pool=linux-x86_64 --local-dockerfile Dockerfile.wait --attempts=1
        Tailing log:
        Building on w1
        FROM busybox
        RUN WAIT
        Job succeeded
        2> Job succeeded in TIME (waited TIME): job ID of pool linux-x86_64 on worker w1
    "#]]
    .assert_eq(&first.wait().success().transcript());
    let ended = w1.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("No job is running any more"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_job_that_takes_too_long_is_cancelled_with_the_reason() {
    let mut cluster = Cluster::start();
    let (w1, client) = job_on_a_worker(&mut cluster, &[("OCLUSTER_SHUTDOWN_TIMEOUT", "0.5")]);
    w1.signal(Signal::TERM);
    let client = client.wait();
    assert_eq!(client.code(), 75);
    let log = "RUN WAIT\nJob cancelled: the worker is shutting down; submit it again\n";
    assert!(client.stdout.contains(log), "{}", client.stdout);
    let hint = "Hint: attempt 1 on worker \"w1\": its worker is shutting down\n";
    assert!(client.stderr.contains(hint), "{}", client.stderr);
    let ended = w1.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
}

#[test]
fn ctrl_c_does_not_wait_for_jobs() {
    let mut cluster = Cluster::start();
    let (w1, client) = job_on_a_worker(&mut cluster, &[]);
    w1.signal(Signal::INT);
    let client = client.wait();
    assert!(
        client.stdout.ends_with(
            "Disconnected: 1 worker lost with the job, the last one on worker \"w1\".\n"
        ),
        "{}",
        client.stdout
    );
    let ended = w1.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
}

#[test]
fn a_second_signal_ends_a_worker_at_once() {
    let mut cluster = Cluster::start_given(&[("OCLUSTER_WORKER_GRACE", "1")]);
    let (mut w1, client) = job_on_a_worker(&mut cluster, &[]);
    w1.signal(Signal::TERM);
    w1.wait_for("Another signal ends this worker immediately");
    w1.signal(Signal::TERM);
    let ended = w1.wait();
    assert_eq!(ended.code(), 143, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .ends_with("Exiting without waiting for jobs to stop\n"),
        "{}",
        ended.stderr
    );
    let client = client.wait();
    assert!(
        client
            .stderr
            .contains("attempt 1 on worker \"w1\": its worker lost its connection"),
        "{}",
        client.stderr
    );
}

#[test]
fn a_draining_scheduler_waits_for_running_jobs_and_assigns_none() {
    let mut cluster = Cluster::start_given(&[("OCLUSTER_SHUTDOWN_TIMEOUT", "60")]);
    let _w1 = cluster.worker("w1");
    let mut running = AttachedJob::submit(&cluster, "Dockerfile.wait");
    running.wait_for_log("RUN WAIT");
    let queued = AttachedJob::submit(&cluster, "Dockerfile");
    cluster.scheduler.wait_for("Adding tutorial to the backlog");
    let mut kept = cluster.submit("Dockerfile");
    kept.wait_for_output("Tailing log:");
    cluster.scheduler.signal(Signal::TERM);
    cluster
        .scheduler
        .wait_for("Dropping 1 queued job: shutting down");
    cluster.scheduler.wait_for("Waiting for 1 job to end");
    cluster.release_builds();
    let log = running.wait().expect("it succeeds");
    assert!(log.ends_with("Job succeeded\n"), "{log}");
    let ended = cluster.scheduler.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let lost = queued.wait().expect_err("it is dropped");
    assert_eq!(lost.kind, RpcErrorKind::Disconnected, "{lost}");
    // This job is durable: its client waits for the scheduler to come back.
    kept.wait_for("reconnecting");
}

#[test]
fn a_scheduler_that_ends_does_not_wait_for_durable_jobs() {
    let mut cluster = Cluster::start_given(&[("OCLUSTER_SHUTDOWN_TIMEOUT", "60")]);
    let (_w1, mut client) = job_on_a_worker(&mut cluster, &[]);
    cluster.scheduler.signal(Signal::TERM);
    let ended = cluster.scheduler.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("to end"), "{}", ended.stderr);
    client.wait_for("reconnecting");
}

#[test]
fn a_scheduler_does_not_wait_for_ever() {
    let mut cluster = Cluster::start_given(&[("OCLUSTER_SHUTDOWN_TIMEOUT", "0.5")]);
    let _w1 = cluster.worker("w1");
    let mut job = AttachedJob::submit(&cluster, "Dockerfile.wait");
    job.wait_for_log("RUN WAIT");
    cluster.scheduler.signal(Signal::TERM);
    let ended = cluster.scheduler.wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("1 job still running after 0.5 s: exiting anyway"),
        "{}",
        ended.stderr
    );
    let lost = job.wait().expect_err("its scheduler is gone");
    assert_eq!(lost.kind, RpcErrorKind::Disconnected, "{lost}");
}

#[test]
fn a_second_signal_ends_a_scheduler_at_once() {
    let mut cluster = Cluster::start_given(&[("OCLUSTER_SHUTDOWN_TIMEOUT", "60")]);
    let _w1 = cluster.worker("w1");
    let mut job = AttachedJob::submit(&cluster, "Dockerfile.wait");
    job.wait_for_log("RUN WAIT");
    cluster.scheduler.signal(Signal::TERM);
    cluster.scheduler.wait_for("Waiting for 1 job to end");
    cluster.scheduler.signal(Signal::INT);
    let ended = cluster.scheduler.wait();
    assert_eq!(ended.code(), 130, "{}", ended.stderr);
}

#[test]
fn an_idle_cluster_ends_without_waiting() {
    let mut cluster = Cluster::start();
    let w1 = cluster.worker("w1");
    w1.signal(Signal::TERM);
    assert_eq!(w1.wait().code(), 0);
    cluster.scheduler.signal(Signal::TERM);
    assert_eq!(cluster.scheduler.wait().code(), 0);
    // A worker that reconnects has what was saved.
    assert!(
        cluster.place.path().join("scheduler/scheduler.db").exists(),
        "{POOL}"
    );
}
