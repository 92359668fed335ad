//! `ocluster dev` and `ocluster bench`, as a user tries them.

use expect_test::expect;
use rustix::process::Signal;

use crate::cluster::{Cluster, POOL};
use crate::harness::Place;

#[test]
fn dev_is_a_whole_cluster() {
    let place = Place::new();
    crate::cluster::install_fake_docker(&place);
    let mut dev = place.start("ocluster dev --state-dir ./cluster --pool mine --capacity 1");
    dev.wait_for_output("Ctrl-C ends them.");
    let job = place.run(
        "ocluster-client submit-docker ./cluster/submission.cap --pool=mine --local-dockerfile Dockerfile",
    );
    expect![[r#"
        $ ocluster-client submit-docker ./cluster/submission.cap --pool=mine --local-dockerfile Dockerfile
        Tailing log:
        Building on dev
        FROM busybox
        RUN date
        Job succeeded
        2> Job succeeded in TIME (waited TIME): job ID of pool mine on worker dev
    "#]].assert_eq(&job.success().transcript());
    expect![[r#"
        $ ocluster-admin show ./cluster/admin.cap
        mine
    "#]]
    .assert_eq(
        &place
            .run("ocluster-admin show ./cluster/admin.cap")
            .success()
            .transcript(),
    );
    dev.signal(Signal::INT);
    let dev = dev.wait();
    assert_eq!(dev.code(), 0, "{}", dev.transcript());
    expect![[r#"
        A scheduler and a worker are running. Try, in another terminal:

          ocluster-client submit-docker ./cluster/submission.cap --pool=mine --local-dockerfile Dockerfile
          ocluster-admin show ./cluster/admin.cap mine

        Ctrl-C ends them.
    "#]].assert_eq(&dev.stdout);
}

#[test]
fn bench_measures_everything_there_is() {
    let cluster = Cluster::start();
    let bench = cluster.place.run(&format!(
        "ocluster bench --submission ./capnp-secrets/submission.cap --pool-cap ./capnp-secrets/pool-{POOL}.cap \
         --pool {POOL} --pid {} --jobs 400 --samples 20 --queued 200 --log-size 4 --idle-workers 20 --output json",
        cluster.scheduler.pid()
    ));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&bench.success().stdout).expect("JSON");
    let metrics: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {} {}", row["scenario"], row["metric"], row["unit"]))
        .collect();
    expect![[r#"
        "jobs" "completed" "jobs/s"
        "latency" "submit to pop, p50" "ms"
        "latency" "submit to pop, p99" "ms"
        "queued" "memory of a job" "KiB"
        "log" "to one client" "MiB/s"
        "log" "to one client" "MiB/s"
        "durable" "accepted" "jobs/s"
        "durable" "memory of a queued job" "KiB"
        "durable" "completed" "jobs/s"
        "durable-latency" "submit to pop, p50" "ms"
        "durable-latency" "submit to pop, p99" "ms"
        "durable-log" "to each reader" "MiB/s"
        "durable-log" "read from the worker" "times"
        "durable-log" "to each reader" "MiB/s"
        "durable-log" "read from the worker" "times"
        "idle" "connected and registered" "workers/s"
        "idle" "memory of a worker" "KiB""#]]
    .assert_eq(&metrics.join("\n"));
    for row in rows.iter().filter(|row| row["unit"] != "KiB") {
        assert!(
            row["value"].as_f64().is_some_and(|value| value > 0.0),
            "{row}"
        );
    }
}

#[test]
fn bench_measures_pages_and_streams() {
    let cluster = Cluster::start_with("--web=0");
    let bench = cluster.place.run(&format!(
        "ocluster bench pages streams --submission ./capnp-secrets/submission.cap --admin ./capnp-secrets/admin.cap \
         --pool-cap ./capnp-secrets/pool-{POOL}.cap --pool {POOL} --pid {} --queued 60 --page-workers 5 --visitors 2 \
         --seconds 1 --streams 10 --output json",
        cluster.scheduler.pid()
    ));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&bench.success().stdout).expect("JSON");
    let value = |scenario: &str, metric: &str| {
        let mut found = rows
            .iter()
            .filter(|row| row["scenario"] == scenario && row["metric"] == metric);
        found.next().and_then(|row| row["value"].as_f64())
    };
    for metric in [
        "at the server, p50",
        "to the last byte, p50",
        "completed, no visitors",
        "completed, visitors",
    ] {
        assert!(value("pages", metric) > Some(0.0), "{metric}: {rows:#?}");
    }
    assert_eq!(value("streams", "open"), Some(10.0), "{rows:#?}");
    assert_eq!(value("streams", "refused"), Some(0.0), "{rows:#?}");
    // Its clients, with what they had queued, are gone.
    let clients = cluster
        .place
        .run("ocluster-admin list-clients ./capnp-secrets/admin.cap");
    assert!(!clients.success().stdout.contains("bench"));
}

#[test]
fn bench_needs_the_schedulers_process_to_see_its_memory() {
    let cluster = Cluster::start();
    let bench = cluster.place.run(&format!(
        "ocluster bench queued --submission ./capnp-secrets/submission.cap --pool {POOL} \
         --pool-cap ./capnp-secrets/pool-{POOL}.cap"
    ));
    expect![[r#"
        $ ocluster bench queued --submission ./capnp-secrets/submission.cap --pool linux-x86_64 --pool-cap \
            ./capnp-secrets/pool-linux-x86_64.cap
        2> Measuring Queued…
        2> ocluster: scenario 'queued' requires the option --pid
        2> Try 'ocluster --help' for more information.
        [exit code 124]
    "#]].assert_eq(&bench.transcript());
}
