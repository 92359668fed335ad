//! The readme's commands, in its order, as far as they need no engine and no network.

use expect_test::expect;

use crate::cluster::{Cluster, POOL};
use crate::harness::Running;

/// Checks that a worker that reconnects is unpaused, unless its pause is the one that persists. Returns the worker.
fn check_pauses_across_reconnects(cluster: &mut Cluster, mut worker: Running) -> Running {
    for (pause, paused, afterwards) in [
        ("pause-worker", "(inactive: temporary pause)", "[]"),
        (
            "pause",
            "(inactive: admin pause)",
            "(inactive: admin pause)",
        ),
    ] {
        let _paused = cluster.admin(pause, "linux-x86_64 my-host").success();
        cluster.shows(&format!("my-host (0): {paused} (0 running)"));
        worker.signal(rustix::process::Signal::TERM);
        assert_eq!(worker.wait().code(), 0);
        worker = cluster.worker("my-host");
        cluster.shows(&format!("my-host (0): {afterwards} (0 running)"));
    }
    let _unpaused = cluster.admin("unpause", "linux-x86_64 my-host").success();
    worker
}

/// Checks the commands of the admin that show the pools, and pause and unpause a worker.
fn check_admin(cluster: &Cluster) {
    expect![[r#"
        $ ocluster-admin show ./capnp-secrets/admin.cap
        linux-arm32
        linux-x86_64
    "#]]
    .assert_eq(&cluster.admin("show", "").success().transcript());
    expect![[r#"
        $ ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64
        capacity: 1
        queue: (ready) [my-host]
        registered:
          my-host (0): [] (0 running)
        disconnected:
        clients: submission(1)+10m
        versions of workers:
          0.1.0: my-host
        legend:
          WORKER (SECONDS): [...]  SECONDS: total expected length of its queued jobs
          CLIENT(RATE)+TIME        RATE: its share of the pool, in jobs at once
                                   +TIME: it has used more than its share, and its next
                                   job would start in TIME
    "#]]
    .assert_eq(&cluster.admin("show", POOL).success().transcript());
    let paused = cluster
        .admin("pause-worker", "linux-x86_64 my-host")
        .success();
    expect![[r#"
        $ ocluster-admin pause-worker ./capnp-secrets/admin.cap linux-x86_64 my-host
    "#]]
    .assert_eq(&paused.transcript());
    cluster.shows("my-host (0): (inactive: temporary pause) (0 running)");
    let unpaused = cluster
        .admin("unpause-worker", "linux-x86_64 my-host")
        .success();
    expect![[r#"
        $ ocluster-admin unpause-worker ./capnp-secrets/admin.cap linux-x86_64 my-host
    "#]]
    .assert_eq(&unpaused.transcript());
}

#[test]
fn from_the_scheduler_to_the_update() {
    let mut cluster = Cluster::start();
    let mut worker = cluster.worker("my-host");

    // Clients.
    let job = cluster.submit("Dockerfile").wait().success();
    expect![[r#"
        $ ocluster-client submit-docker ./capnp-secrets/submission.cap --cache-hint tutorial \
            --pool=linux-x86_64 --local-dockerfile Dockerfile
        Tailing log:
        Building on my-host
        FROM busybox
        RUN date
        Job succeeded
        2> Job succeeded in TIME (waited TIME): job ID of pool linux-x86_64 on worker my-host
    "#]]
    .assert_eq(&job.transcript());

    check_admin(&cluster);
    worker = check_pauses_across_reconnects(&mut cluster, worker);

    // Updating: the worker ends with code 1, and its supervisor starts the new version.
    let update = cluster
        .place
        .start("ocluster-admin update ./capnp-secrets/admin.cap linux-x86_64 my-host");
    worker.wait_for("Updating");
    assert_eq!(worker.wait().code(), 1);
    let _worker = cluster.worker("my-host");
    expect![[r#"
        $ ocluster-admin update ./capnp-secrets/admin.cap linux-x86_64 my-host
        my-host: Restarting
        Restarted
    "#]]
    .assert_eq(&update.wait().success().transcript());
}
