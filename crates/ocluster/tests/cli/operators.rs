//! The operators' commands beyond upstream's, and the errors for mixed up arguments.

use expect_test::expect;
use rustix::process::Signal;

use crate::admin::check;
use crate::cluster::{Cluster, POOL};
use crate::harness::{Running, without_times};

/// Starts a job that prints every event.
fn watched(cluster: &Cluster, dockerfile: &str) -> Running {
    cluster.place.start(&format!(
        "ocluster-client submit-docker ./capnp-secrets/submission.cap --output json --pool={POOL} \
         --cache-hint tutorial --local-dockerfile {dockerfile}"
    ))
}

#[test]
fn jobs_are_cancelled_by_the_numbers_that_show_has() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let mut running = cluster.submit("Dockerfile.wait");
    running.wait_for_output("RUN WAIT");
    let mut queued = watched(&cluster, "Dockerfile");
    queued.wait_for_output("queued");
    let state = cluster.admin("show", POOL).success().stdout;
    for line in [
        "running:",
        "  w1      1       submission  0s   tutorial",
        "queued (1, the next first):",
        "  2       submission  0s      any     busy  tutorial",
        "why they wait (the first of each kind):",
        "  2: next in line; the only worker of pool linux-x86_64 is busy",
    ] {
        let state = without_times(&state);
        assert!(
            state.lines().any(|shown| shown == line),
            "no {line:?} in:\n{state}"
        );
    }
    check(
        &cluster,
        "cancel",
        "linux-x86_64 2 1",
        expect![[r#"
        $ ocluster-admin cancel ./capnp-secrets/admin.cap linux-x86_64 2 1
        Cancelled job 2, which was queued.
        Cancelled job 1 on w1.
    "#]],
    );
    let ended = queued.wait();
    assert_eq!(ended.code(), 130);
    assert!(
        ended.stdout.contains("Ticket cancelled by an operator"),
        "{}",
        ended.stdout
    );
    let ended = running.wait();
    assert_eq!(ended.code(), 130);
    assert!(ended.stdout.contains("Job cancelled"), "{}", ended.stdout);
    // The worker goes on, and the number is known in the log.
    let mut next = cluster.submit("Dockerfile");
    next.wait_for_output("RUN date");
    let _next = next.wait().success();
    cluster
        .scheduler
        .wait_for("Cancelled by an operator (tester@");
}

#[test]
fn a_pause_has_its_author_and_reason() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let _w2 = cluster.worker("w2");
    let note = cluster
        .place
        .bash("ocluster-admin pause ./capnp-secrets/admin.cap linux-x86_64 w1 --note 'new disk'");
    assert_eq!(note.success().stdout, "Success.\n");
    let _drained = cluster
        .admin("drain", "linux-x86_64 w2 --note=fan")
        .success();
    check(
        &cluster,
        "show",
        POOL,
        expect![[r#"
            $ ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64
            capacity: 2
            queue: (ready) []
            registered:
              w1 (0): (inactive: admin pause) (0 running)
              w2 (0): (inactive: admin pause) (0 running)
            disconnected:
            clients:
            paused by operators:
              w1  by tester@HOST for 0s: new disk
              w2  by tester@HOST for 0s: fan
            versions of workers:
              0.1.0: w1, w2
            legend:
              WORKER (SECONDS): [...]  SECONDS: total expected length of its queued jobs
        "#]],
    );
    let _unpaused = cluster.admin("unpause", "linux-x86_64 --all").success();
    let _resting = cluster
        .admin("pause-worker", "linux-x86_64 w2 --note=look")
        .success();
    check(
        &cluster,
        "show",
        "linux-x86_64 w2",
        expect![[r#"
            $ ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64 w2
            w2: Paused
              connected     for 0s, from 127.0.0.1:PORT
              takes jobs    no: paused until it reconnects or is unpaused
              running       0 of 1
              in its queue  0
              finished      0 since it connected
              why no more   paused by tester@HOST 0s ago, until it reconnects: "look"; to end the pause, use \
                ocluster-admin unpause
              version       0.1.0
              paused        by tester@HOST for 0s: look
        "#]],
    );
    let too_long = format!("linux-x86_64 w1 --note={}", "x".repeat(1001));
    let refused = cluster.admin("pause", &too_long);
    assert_eq!(refused.code(), 1);
    assert!(
        refused
            .stderr
            .contains("the note has 1001 bytes, and the limit is 1000"),
        "{}",
        refused.stderr
    );
}

#[test]
fn few_of_many_jobs_are_shown_without_all() {
    let mut cluster = Cluster::start();
    let mut workers = Vec::new();
    for name in ["w10", "w9"] {
        workers.push(cluster.worker(name));
        let _paused = cluster.admin("pause", &format!("{POOL} {name}")).success();
    }
    let mut clients: Vec<Running> = (0..13).map(|_| watched(&cluster, "Dockerfile")).collect();
    for client in &mut clients {
        client.wait_for_output("queued");
    }
    let few = cluster.admin("show", POOL).success().stdout;
    assert!(
        few.contains("queued (the first 10 of 13; --all shows all):"),
        "{few}"
    );
    assert!(few.contains("[(3 more) "), "{few}");
    assert!(
        few.contains("@TIME: its start if each client got exactly its share"),
        "{few}"
    );
    let (ninth, tenth) = (few.find("  w9 (0)"), few.find("  w10 (0)"));
    assert!(
        ninth < tenth && ninth.is_some(),
        "not in natural order:\n{few}"
    );
    let all = cluster
        .admin("show", &format!("{POOL} --all"))
        .success()
        .stdout;
    assert!(all.contains("queued (13, the next first):"), "{all}");
    check(
        &cluster,
        "show",
        "--all",
        expect![[r#"
        $ ocluster-admin show ./capnp-secrets/admin.cap --all
        POOL          CONNECTED  INACTIVE  RUNNING  QUEUED  LONGEST WAIT
        linux-arm32   0 of 0     0         0 of 0   0       0s
        linux-x86_64  2 of 2     2         0 of 2   13      0s
    "#]],
    );
    check(
        &cluster,
        "show",
        "",
        expect![[r#"
        $ ocluster-admin show ./capnp-secrets/admin.cap
        linux-arm32
        linux-x86_64
    "#]],
    );
    let mut watched = cluster
        .place
        .start_on_terminal("ocluster-admin show ./capnp-secrets/admin.cap --watch");
    watched.wait_for_output("LONGEST WAIT");
    watched.wait_for_output("\u{1b}[H\u{1b}[2J");
}

#[test]
fn watching_repeats_the_view_until_interrupted() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let mut watching = cluster
        .place
        .start("ocluster-admin show ./capnp-secrets/admin.cap linux-x86_64 w1 --watch --terse");
    watching.wait_for_output("Running\n\nRunning\n");
    let _paused = cluster.admin("pause", "linux-x86_64 w1").success();
    watching.wait_for_output("\n\nPaused\n");
    watching.signal(Signal::INT);
    assert_eq!(watching.wait().code(), 130);
}

#[test]
fn a_new_clients_cap_file_is_for_its_owner_only() {
    let cluster = Cluster::start();
    let outcome = cluster.place.bash(
        "umask 022; ocluster-admin add-client ./capnp-secrets/admin.cap alice > alice.cap; stat -c %a alice.cap",
    );
    assert_eq!(outcome.success().stdout, "600\n");
}

#[test]
fn a_worker_with_the_wrong_cap_file_or_name_gets_an_error() {
    let mut cluster = Cluster::start();
    let start = |cluster: &Cluster, cap: &str| {
        cluster.place.start(&format!(
            "ocluster-worker ./capnp-secrets/{cap}.cap --state-dir=./other --name=w1"
        ))
    };
    for (cap, what) in [
        (
            "submission",
            "for submitting jobs (submission.cap, or a client's)",
        ),
        ("admin", "for administration (admin.cap)"),
    ] {
        let mut wrong = start(&cluster, cap);
        wrong.wait_for(&format!(
            "cannot register worker \"w1\": the cap file is {what}; start this worker with the pool-NAME.cap of its \
             pool"
        ));
    }
    let _w1 = cluster.worker("w1");
    let mut twin = start(&cluster, "pool-linux-x86_64");
    twin.wait_for(
        "cannot register worker \"w1\": Failed: Worker already registered! Another worker of this name is connected; \
         stop that one, or give this one another --name",
    );
}
