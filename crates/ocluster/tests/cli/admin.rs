//! The admin's commands against a real scheduler with real workers.

use expect_test::{Expect, expect};

use rustix::process::Signal;

use crate::cluster::{Cluster, POOL};
use crate::harness::{folded, without_times};

/// Checks the output of a command of the admin.
pub(crate) fn check(cluster: &Cluster, command: &str, args: &str, expected: Expect) {
    let transcript = cluster.admin(command, args).raw_transcript();
    expected.assert_eq(&folded(&without_times(&transcript)));
}

#[test]
fn a_pool_without_workers_has_nothing_to_do() {
    let cluster = Cluster::start();
    check(
        &cluster,
        "pause",
        "linux-x86_64 --all",
        expect![[r#"
        $ ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64 --all
        No workers connected to pool (nothing to do).
    "#]],
    );
    check(
        &cluster,
        "update",
        POOL,
        expect![[r#"
        $ ocluster-admin update ./capnp-secrets/admin.cap linux-x86_64
        2> No workers connected to pool!
        [exit code 1]
    "#]],
    );
    check(
        &cluster,
        "forget",
        POOL,
        expect![[r#"
        $ ocluster-admin forget ./capnp-secrets/admin.cap linux-x86_64
        No disconnected workers in pool (nothing to forget).
    "#]],
    );
}

/// Checks that pausing asks for one of two workers.
fn check_candidates(cluster: &Cluster) {
    check(
        cluster,
        "pause",
        POOL,
        expect![[r#"
        $ ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64
        2> Specify which worker you want to affect (or use --all).
        2> Candidates are:
        2> w1
        2> w2
        [exit code 1]
    "#]],
    );
    check(
        cluster,
        "pause-worker",
        POOL,
        expect![[r#"
            $ ocluster-admin pause-worker ./capnp-secrets/admin.cap linux-x86_64
            2> Specify which worker you want to affect (or use --all).
            2> Candidates are:
            2> w1
            2> w2
            [exit code 1]
        "#]],
    );
}

#[test]
fn one_worker_is_paused() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let _w2 = cluster.worker("w2");
    check_candidates(&cluster);
    check(
        &cluster,
        "pause",
        "linux-x86_64 nobody",
        expect![[r#"
            $ ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64 nobody
            2> PoolAdmin.setActive: Failed: Unknown worker
            2> Hint: the workers are: w1, w2
            [exit code 1]
        "#]],
    );
    check(
        &cluster,
        "pause",
        "linux-x86_64 w1",
        expect![[r#"
        $ ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64 w1
        Success.
    "#]],
    );
    check(
        &cluster,
        "pause",
        "--wait linux-x86_64 w1",
        expect![[r#"
        $ ocluster-admin pause ./capnp-secrets/admin.cap --wait linux-x86_64 w1
        Waiting for jobs to finish…
        w1: Running jobs: 0
        Success.
    "#]],
    );
    // One that has never been seen.
    let line = "linux-x86_64 --auto-create w9";
    check(
        &cluster,
        "pause",
        line,
        expect![[r#"
        $ ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64 --auto-create w9
        Success.
    "#]],
    );
    check(
        &cluster,
        "pause",
        POOL,
        expect![[r#"
        $ ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64
        2> Specify which worker you want to affect (or use --all).
        2> Candidates are:
        2> w1 (paused)
        2> w2
        2> w9 (disconnected, paused)
        [exit code 1]
    "#]],
    );
}

#[test]
fn workers_are_shown() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let _w2 = cluster.worker("w2");
    let _paused = cluster.admin("pause", "linux-x86_64 w1").success();
    check(
        &cluster,
        "show",
        "linux-x86_64 w1",
        expect![[r#"
            $ ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64 w1
            w1: Paused
              connected     for 0s, from 127.0.0.1:PORT
              takes jobs    no: paused until unpaused
              running       0 of 1
              in its queue  0
              finished      0 since it connected
              why no more   paused by tester@HOST 0s ago; to end the pause, use ocluster-admin unpause
              version       0.1.0
              paused        by tester@HOST for 0s
        "#]],
    );
    check(
        &cluster,
        "show",
        "linux-x86_64 w2 --terse",
        expect![[r#"
        $ ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64 w2 --terse
        Running
    "#]],
    );
    check(
        &cluster,
        "show",
        "linux-x86_64 nobody",
        expect![[r#"
            $ ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64 nobody
            2> cannot show worker "nobody": pool "linux-x86_64" has no such worker
            2> Hint: the workers are: w1, w2
            [exit code 1]
        "#]],
    );
    check(
        &cluster,
        "show",
        "--terse linux-x86_64",
        expect![[r#"
        $ ocluster-admin show ./capnp-secrets/admin.cap --terse linux-x86_64
        w1
        w2
    "#]],
    );
    check(
        &cluster,
        "show",
        "nowhere",
        expect![[r#"
            $ ocluster-admin show ./capnp-secrets/admin.cap nowhere
            2> PoolAdmin.show: Failed: No such pool
            2> Hint: the pools are: linux-arm32, linux-x86_64
            [exit code 1]
        "#]],
    );
}

#[test]
fn all_workers_are_paused() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let _w2 = cluster.worker("w2");
    let _paused = cluster.admin("pause", "linux-x86_64 w1").success();
    check(
        &cluster,
        "pause",
        "linux-x86_64 --all",
        expect![[r#"
            $ ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64 --all
            (worker "w1" is already done)
            Updating w2…
            Success.
        "#]],
    );
    check(
        &cluster,
        "pause",
        "linux-x86_64 --all",
        expect![[r#"
            $ ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64 --all
            (worker "w1" is already done)
            (worker "w2" is already done)
            Nothing to do.
        "#]],
    );
    check(
        &cluster,
        "unpause",
        "--all linux-x86_64",
        expect![[r#"
        $ ocluster-admin unpause ./capnp-secrets/admin.cap --all linux-x86_64
        Updating w1, w2…
        Success.
    "#]],
    );
}

#[test]
fn a_pause_for_all_outlasts_one_that_ends_when_a_worker_reconnects() {
    let mut cluster = Cluster::start();
    let w1 = cluster.worker("w1");
    let _paused_for_now = cluster
        .admin("pause-worker", &format!("{POOL} w1"))
        .success();
    let _paused = cluster.admin("pause", &format!("{POOL} --all")).success();
    w1.signal(Signal::TERM);
    assert_eq!(w1.wait().code(), 0);
    cluster.scheduler.wait_for("Release worker \"w1\"");
    let _w1 = cluster.worker("w1");
    cluster.shows("w1 (0): (inactive: admin pause) (0 running)");
}

#[test]
fn a_disconnected_worker_can_be_forgotten() {
    let mut cluster = Cluster::start();
    let w1 = cluster.worker("w1");
    let _w2 = cluster.worker("w2");
    check(
        &cluster,
        "forget",
        "linux-x86_64 w1",
        expect![[r#"
        $ ocluster-admin forget ./capnp-secrets/admin.cap linux-x86_64 w1
        Failed: Worker "w1" is still connected!
        [exit code 1]
    "#]],
    );
    w1.signal(Signal::TERM);
    assert_eq!(w1.wait().code(), 0);
    cluster.scheduler.wait_for("Release worker \"w1\"");
    check(
        &cluster,
        "forget",
        POOL,
        expect![[r#"
            $ ocluster-admin forget ./capnp-secrets/admin.cap linux-x86_64
            2> Specify which worker you want to affect (or use --all).
            2> Candidates are:
            2> w1 (disconnected)
            [exit code 1]
        "#]],
    );
    check(
        &cluster,
        "forget",
        "linux-x86_64 w1",
        expect![[r#"
        $ ocluster-admin forget ./capnp-secrets/admin.cap linux-x86_64 w1
    "#]],
    );
    check(
        &cluster,
        "forget",
        "linux-x86_64 w1",
        expect![[r#"
            $ ocluster-admin forget ./capnp-secrets/admin.cap linux-x86_64 w1
            Failed: Worker "w1" not known in this pool
            2> Hint: the workers are: w2
            [exit code 1]
        "#]],
    );
    check(
        &cluster,
        "show",
        "--terse linux-x86_64",
        expect![[r#"
        $ ocluster-admin show ./capnp-secrets/admin.cap --terse linux-x86_64
        w2
    "#]],
    );
}

#[test]
fn pause_and_wait_shows_the_jobs_end() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let mut client = cluster.submit("Dockerfile.wait");
    client.wait_for_output("RUN WAIT");
    let mut pause = cluster
        .place
        .start("ocluster-admin pause --wait ./capnp-secrets/admin.cap linux-x86_64 w1");
    pause.wait_for_output("Running jobs: 1");
    cluster.release_builds();
    let _job = client.wait().success();
    expect![[r#"
        $ ocluster-admin pause --wait ./capnp-secrets/admin.cap linux-x86_64 w1
        Waiting for jobs to finish…
        w1: Running jobs: 1
        w1: Running jobs: 0
        Success.
    "#]]
    .assert_eq(&pause.wait().success().transcript());
}

#[test]
fn show_has_the_running_jobs() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let mut client = cluster.submit("Dockerfile.wait");
    client.wait_for_output("RUN WAIT");
    check(
        &cluster,
        "show",
        POOL,
        expect![[r#"
            $ ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64
            capacity: 1
            queue: (ready) []
            registered:
              w1 (0): [] (1 running)
            disconnected:
            clients: submission(1)+10m
            running:
              WORKER  TICKET  CLIENT      FOR  CACHE HINT
              w1      1       submission  0s   tutorial
            versions of workers:
              0.1.0: w1
            legend:
              WORKER (SECONDS): [...]  SECONDS: total expected length of its queued jobs
              CLIENT(RATE)+TIME        RATE: its share of the pool, in jobs at once
                                       +TIME: it has used more than its share, and its next
                                       job would start in TIME
        "#]],
    );
    check(
        &cluster,
        "show",
        "linux-x86_64 w1",
        expect![[r#"
            $ ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64 w1
            w1: Running
              connected     for 0s, from 127.0.0.1:PORT
              takes jobs    yes
              running       1 of 1
              in its queue  0
              finished      0 since it connected
              why no more   runs 1 of 1 job; no other jobs wait
              version       0.1.0
                TICKET  CLIENT      FOR  CACHE HINT
                1       submission  0s   tutorial
        "#]],
    );
    cluster.release_builds();
    let _job = client.wait().success();
}

/// Checks that workers without a connection are drained at once: w2, and w9, which does not exist yet.
fn check_drains_without_connection(cluster: &Cluster) {
    check(
        cluster,
        "drain",
        "linux-x86_64 w2 --wait",
        expect![[r#"
        $ ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64 w2 --wait
        Waiting for jobs to finish…
        w2: Disconnected (nothing to drain)
        Success.
    "#]],
    );
    check(
        cluster,
        "drain",
        "linux-x86_64 w9",
        expect![[r#"
            $ ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64 w9
            2> PoolAdmin.setActive: Failed: Unknown worker
            2> Hint: the workers are: w1, w2
            [exit code 1]
        "#]],
    );
    check(
        cluster,
        "drain",
        "linux-x86_64 w9 --auto-create",
        expect![[r#"
            $ ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64 w9 --auto-create
            Waiting for jobs to finish…
            w9: Disconnected (nothing to drain)
            Success.
        "#]],
    );
}

#[test]
fn draining_is_pausing_and_waiting() {
    let mut cluster = Cluster::start();
    check(
        &cluster,
        "drain",
        POOL,
        expect![[r#"
        $ ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64
        No workers connected to pool (nothing to do).
    "#]],
    );
    let _w1 = cluster.worker("w1");
    let w2 = cluster.worker("w2");
    w2.signal(Signal::TERM);
    assert_eq!(w2.wait().code(), 0);
    cluster.scheduler.wait_for("Release worker \"w2\"");
    check(
        &cluster,
        "drain",
        POOL,
        expect![[r#"
        $ ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64
        2> Specify which worker you want to affect (or use --all).
        2> Candidates are:
        2> w1
        2> w2 (disconnected)
        [exit code 1]
    "#]],
    );
    check(
        &cluster,
        "drain",
        "linux-x86_64 w1",
        expect![[r#"
        $ ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64 w1
        Waiting for jobs to finish…
        w1: Running jobs: 0
        Success.
    "#]],
    );
    cluster.shows("w1 (0): (inactive: admin pause) (0 running)");
    check_drains_without_connection(&cluster);
    check(
        &cluster,
        "unpause",
        "linux-x86_64 w1",
        expect![[r#"
        $ ocluster-admin unpause ./capnp-secrets/admin.cap linux-x86_64 w1
        Success.
    "#]],
    );
    let all = cluster
        .admin("drain", "linux-x86_64 --all")
        .success()
        .stdout;
    let done: Vec<&str> = all.lines().filter(|line| line.starts_with("w1")).collect();
    assert_eq!(done, ["w1: Running jobs: 0"], "{all}");
    assert!(all.ends_with("Success.\n"), "{all}");
}

#[test]
fn interrupting_a_drain_leaves_the_worker_paused_and_prints_it() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let mut client = cluster.submit("Dockerfile.wait");
    client.wait_for_output("RUN WAIT");
    let mut drain = cluster
        .place
        .start("ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64 w1");
    drain.wait_for_output("Running jobs: 1");
    drain.signal(Signal::INT);
    expect![[r#"
        $ ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64 w1
        Waiting for jobs to finish…
        w1: Running jobs: 1
        2> Interrupted: w1 stays paused; still running: 1 job on w1
        2> Hint: to undo the pause, run: ocluster-admin unpause ./capnp-secrets/admin.cap linux-x86_64 w1
        [exit code 130]
    "#]]
    .assert_eq(&drain.wait().transcript());
    cluster.shows("w1 (0): (inactive: admin pause) (1 running)");
    cluster.release_builds();
    let _job = client.wait().success();
}

#[test]
fn interrupting_an_update_gives_the_worker_jobs_again() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let mut client = cluster.submit("Dockerfile.wait");
    client.wait_for_output("RUN WAIT");
    let mut update = cluster
        .place
        .start("ocluster-admin update ./capnp-secrets/admin.cap linux-x86_64");
    update.wait_for_output("Running jobs: 1");
    cluster.shows("w1 (0): (inactive: shutting down) (1 running)");
    update.signal(Signal::TERM);
    expect![[r#"
        $ ocluster-admin update ./capnp-secrets/admin.cap linux-x86_64
        Testing update on first worker in pool: "w1"
        w1: Running jobs: 1
        2> Interrupted: no further workers are updated; not restarted, and taking jobs again: w1
        [exit code 143]
    "#]]
    .assert_eq(&update.wait().transcript());
    cluster.comes_to_show("w1 (0): [] (1 running)");
    cluster.release_builds();
    let _job = client.wait().success();
}

#[test]
fn a_terminal_shows_what_a_drain_waits_for() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let mut client = cluster.submit("Dockerfile.wait");
    client.wait_for_output("RUN WAIT");
    let mut drain = cluster
        .place
        .start_on_terminal("ocluster-admin drain ./capnp-secrets/admin.cap linux-x86_64 w1");
    drain.wait_for_output("draining w1: 1 job running, ");
    cluster.release_builds();
    let ended = drain.wait().success().stdout;
    assert!(
        ended.ends_with("\u{1b}[Kw1: Running jobs: 0\r\nSuccess.\r\n"),
        "{ended:?}"
    );
    assert!(!ended.contains("Running jobs: 1"), "{ended:?}");
    let _job = client.wait().success();
}

#[test]
fn the_pause_that_ends_when_a_worker_reconnects_can_be_for_all() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let w2 = cluster.worker("w2");
    w2.signal(Signal::TERM);
    assert_eq!(w2.wait().code(), 0);
    cluster.scheduler.wait_for("Release worker \"w2\"");
    check(
        &cluster,
        "pause-worker",
        "--all linux-x86_64",
        expect![[r#"
            $ ocluster-admin pause-worker ./capnp-secrets/admin.cap --all linux-x86_64
            Updating w1…
            Success.
        "#]],
    );
    cluster.shows("w1 (0): (inactive: temporary pause) (0 running)");
    check(
        &cluster,
        "unpause-worker",
        "--all linux-x86_64",
        expect![[r#"
            $ ocluster-admin unpause-worker ./capnp-secrets/admin.cap --all linux-x86_64
            (worker "w2" is already done)
            Updating w1…
            Success.
        "#]],
    );
    check(
        &cluster,
        "forget",
        "--all linux-x86_64",
        expect![[r#"
        $ ocluster-admin forget ./capnp-secrets/admin.cap --all linux-x86_64
        Forgot w2.
    "#]],
    );
    check(
        &cluster,
        "forget",
        "--all linux-x86_64",
        expect![[r#"
        $ ocluster-admin forget ./capnp-secrets/admin.cap --all linux-x86_64
        No disconnected workers in pool (nothing to forget).
    "#]],
    );
}

#[test]
fn updating_a_pool_begins_with_one_worker() {
    let mut cluster = Cluster::start();
    let mut w1 = cluster.worker("w1");
    let mut w2 = cluster.worker("w2");
    let w3 = cluster.worker("w3");
    w3.signal(Signal::TERM);
    assert_eq!(w3.wait().code(), 0);
    cluster.scheduler.wait_for("Release worker \"w3\"");

    let update = cluster
        .place
        .start("ocluster-admin update ./capnp-secrets/admin.cap linux-x86_64");
    w1.wait_for("Updating");
    assert!(
        !w2.stderr().contains("Self-update requested"),
        "the second was updated before the first was back"
    );
    assert_eq!(w1.wait().code(), 1);
    let _w1 = cluster.worker("w1");
    w2.wait_for("Updating");
    assert_eq!(w2.wait().code(), 1);
    let _w2 = cluster.worker("w2");
    expect![[r#"
        $ ocluster-admin update ./capnp-secrets/admin.cap linux-x86_64
        Testing update on first worker in pool: "w1"
        w1: Restarting
        Canary updated OK. Updating the others: [w2]
        w2: Restarting
        "w2" restarted OK.
        All pool workers restarted.
        WARNING: disconnected workers not updated:
          w3
    "#]]
    .assert_eq(&update.wait().success().transcript());
}

#[test]
fn a_first_worker_that_does_not_come_back_ends_the_update() {
    let mut cluster = Cluster::start_with("--update-timeout=1");
    let w1 = cluster.worker("w1");
    let w2 = cluster.worker("w2");
    let update = cluster
        .place
        .start("ocluster-admin update ./capnp-secrets/admin.cap linux-x86_64");
    assert_eq!(w1.wait().code(), 1);
    expect![[r#"
        $ ocluster-admin update ./capnp-secrets/admin.cap linux-x86_64
        Testing update on first worker in pool: "w1"
        w1: Restarting
        Failed: Timeout waiting for worker to reconnect!
        2> Hint: no other worker was updated; find out why "w1" does not come back with its new version, \
            then run update again
        [exit code 1]
    "#]].assert_eq(&update.wait().transcript());
    cluster.shows("w2 (0): [] (0 running)");
    assert!(!w2.stderr().contains("Self-update requested"));
}
