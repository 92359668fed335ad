//! A client and its job: how both end.

use expect_test::expect;
use rustix::process::Signal;

use crate::cluster::{Cluster, POOL};

#[test]
fn a_failed_build_fails_the_client() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    expect![[r#"
        $ ocluster-client submit-docker ./capnp-secrets/submission.cap --cache-hint tutorial \
            --pool=linux-x86_64 --local-dockerfile Dockerfile.fail
        Tailing log:
        Building on w1
        FROM busybox
        RUN FAIL
        docker-build failed with exit-code 1
        Failed: Build failed.
        2> Job failed after TIME (waited TIME): job ID of pool linux-x86_64 on worker w1: Build failed
        [exit code 1]
    "#]].assert_eq(&cluster.submit("Dockerfile.fail").wait().transcript());
}

#[test]
fn an_unknown_pool_is_named_with_the_known_ones() {
    let cluster = Cluster::start();
    let line = "ocluster-client submit-docker ./capnp-secrets/submission.cap --pool=nowhere \
                --local-dockerfile Dockerfile";
    expect![[r#"
        $ ocluster-client submit-docker ./capnp-secrets/submission.cap --pool=nowhere --local-dockerfile \
            Dockerfile
        Tailing log:
        2> Error tailing logs: Failed: Pool ID "nowhere" not one of {linux-arm32, linux-x86_64}
        [exit code 124]
    "#]].assert_eq(&cluster.place.run(line).transcript());
}

#[test]
fn ctrl_c_cancels_the_job_and_prints_it() {
    let mut cluster = Cluster::start();
    let mut w1 = cluster.worker("w1");
    let mut client = cluster.submit("Dockerfile.wait");
    client.wait_for_output("RUN WAIT");
    client.signal(Signal::INT);
    let ended = client.wait();
    expect![[r#"
        $ ocluster-client submit-docker ./capnp-secrets/submission.cap --cache-hint tutorial \
            --pool=linux-x86_64 --local-dockerfile Dockerfile.wait
        Tailing log:
        Building on w1
        FROM busybox
        RUN WAIT
        Job cancelled
        Failed: Build cancelled.
        2> Cancelling the job (interrupt again to exit immediately)
        2> Job cancelled after TIME (waited TIME): job ID of pool linux-x86_64 on worker w1
        2> Interrupted: the job was cancelled.
        [exit code 130]
    "#]]
    .assert_eq(&ended.transcript());
    w1.wait_for("Job cancelled");
}

#[test]
fn ctrl_c_takes_a_queued_job_out_of_the_backlog() {
    let mut cluster = Cluster::start();
    let mut client = cluster.submit("Dockerfile");
    client.wait_for_output("Tailing log:");
    cluster.scheduler.wait_for("Received new job request");
    client.signal(Signal::TERM);
    assert_eq!(client.wait().code(), 143);
    cluster.shows("queue: (backlog) []");
}

#[test]
fn a_closed_output_cancels_the_job_quietly() {
    let mut cluster = Cluster::start();
    let mut w1 = cluster.worker("w1");
    let mut client = cluster.submit("Dockerfile.chatter");
    client.wait_for_output("chatter");
    client.close_output();
    w1.wait_for("Job cancelled");
    let ended = client.wait();
    assert_eq!(
        (ended.code(), ended.stderr.contains("Broken pipe")),
        (1, false),
        "{}",
        ended.transcript()
    );
}

#[test]
fn a_job_whose_worker_is_killed_goes_on_with_another() {
    let mut cluster = Cluster::start_given(&[("OCLUSTER_WORKER_GRACE", "1")]);
    let w1 = cluster.worker("w1");
    let mut client = cluster.submit("Dockerfile.wait");
    client.wait_for_output("RUN WAIT");
    w1.signal(Signal::KILL);
    client.wait_for("Worker \"w1\" was lost; the job waits for another one");
    cluster.release_builds();
    let _w2 = cluster.worker("w2");
    let ended = client.wait().success();
    let again = "Attempt 1 was lost: worker \"w1\": its worker lost its connection";
    assert!(ended.stderr.contains(again), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("Building on w1\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("Building on w2\n"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_job_that_may_lose_one_worker_is_lost_with_it() {
    let mut cluster = Cluster::start_given(&[("OCLUSTER_WORKER_GRACE", "1")]);
    let w1 = cluster.worker("w1");
    let mut client = cluster.place.start(&format!(
        "ocluster-client submit-docker -c ./capnp-secrets/submission.cap --attempts=1 --pool={POOL} \
         --local-dockerfile Dockerfile.wait"
    ));
    client.wait_for_output("RUN WAIT");
    w1.signal(Signal::KILL);
    let ended = client.wait();
    assert_eq!(ended.code(), 75);
    let lost = "Disconnected: 1 worker lost with the job, the last one on worker \"w1\".";
    assert!(ended.stdout.contains(lost), "{}", ended.stdout);
    let hint = "Hint: attempt 1 on worker \"w1\": its worker lost its connection";
    assert!(ended.stderr.contains(hint), "{}", ended.stderr);
    cluster.release_builds();
}

#[test]
fn a_terminal_shows_what_a_job_waits_for() {
    let mut cluster = Cluster::start();
    let line = "ocluster-client submit-docker ./capnp-secrets/submission.cap --pool=linux-x86_64 \
                --local-dockerfile Dockerfile";
    let mut first = cluster.place.start_on_terminal(line);
    first.wait_for_output("queued: no worker has ever registered in pool linux-x86_64");
    // Without a terminal, it is printed once.
    let mut second = cluster.place.start(line);
    second.wait_for(
        "queued: no worker has ever registered in pool linux-x86_64; ask an operator to start one, or use another \
         pool\n",
    );
    // Once there is a log, there is nothing else.
    let _w1 = cluster.worker("w1");
    let ended = first.wait().success();
    assert!(
        ended.stdout.contains("\r\u{1b}[KBuilding on w1"),
        "{:?}",
        ended.stdout
    );
    let _second = second.wait().success();
}

#[test]
fn a_terminal_shows_a_long_reason_whole() {
    let mut cluster = Cluster::start();
    cluster.place.write(
        "bin/docker",
        "#!/bin/sh\n\
         echo 'Cannot connect to the Docker daemon at unix:///nonexistent. Is the docker daemon running?' >&2\n\
         exit 1\n",
    );
    let _w1 = cluster.place.start(
        "ocluster-worker ./capnp-secrets/pool-linux-x86_64.cap --state-dir=./w1 --name=w1 --capacity=1",
    );
    cluster.scheduler.wait_for("Registered new worker");
    let mut client = cluster.place.start_on_terminal(
        "ocluster-client submit-docker ./capnp-secrets/submission.cap --pool=linux-x86_64 \
         --local-dockerfile Dockerfile",
    );
    client.wait_for_output("waiting for ");
    let shown = client.stdout();
    assert!(
        shown.contains("Is the docker daemon running? (start it (systemctl start docker), and "),
        "{shown:?}"
    );
}
