//! A cluster whose state is in PostgreSQL: the same commands, a restart, and a move to files and back.

use rig::{PostgreSql, report_not_run};
use rustix::process::Signal;

use crate::cluster::{Cluster, POOL};
use crate::harness::Outcome;

/// Submits a durable job, and returns its id.
fn submit(cluster: &Cluster, dockerfile: &str, options: &str) -> String {
    let line = format!(
        "ocluster-client submit-docker -c ./capnp-secrets/submission.cap --pool={POOL} --detach {options} \
         --local-dockerfile {dockerfile}"
    );
    cluster.place.run(&line).success().stdout.trim().to_owned()
}

/// Returns all that operators and clients can see of the state.
fn seen(cluster: &Cluster) -> Vec<String> {
    let client = |command: &str| {
        let line = format!("ocluster-client {command} -c ./capnp-secrets/submission.cap");
        cluster.place.run(&line).success().stdout
    };
    vec![
        cluster.admin("list-clients", "").success().stdout,
        cluster.admin("audit", "--output json").success().stdout,
        client("jobs --output json"),
    ]
    .into_iter()
    .map(|text| without_seconds(&text))
    .collect()
}

/// Leaves out how long ago things were.
fn without_seconds(text: &str) -> String {
    let lines = text.lines().filter(|line| {
        !["ago", "seconds", "since", "age", "_at\"", "connected"]
            .iter()
            .any(|word| line.contains(word))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn wait(cluster: &Cluster, id: &str) -> Outcome {
    let line = format!("ocluster-client wait -c ./capnp-secrets/submission.cap {id}");
    cluster.place.run(&line)
}

fn copy(from: &str, to: &str) -> String {
    format!("ocluster-admin store copy {from} {to}")
}

/// Moves a cluster to files, and back to another database. The target must be empty.
fn move_to_files_and_back(cluster: &mut Cluster, server: &PostgreSql, store: &str) {
    let before = seen(cluster);
    cluster.restart("", |place| {
        let refused = place.run(&copy("./scheduler", store));
        assert_ne!(refused.code(), 0, "there is nothing to copy");
        // The logs are in the state directory.
        let copied = place.run(&copy(store, "./scheduler")).success().stdout;
        assert!(
            copied.contains("jobs: 4 rows\n") && copied.contains("pauses: 1 row\n"),
            "{copied}"
        );
        let refused = place.run(&copy(store, "./scheduler"));
        assert!(
            refused.raw_transcript().contains("choose an empty place"),
            "{}",
            refused.raw_transcript()
        );
    });
    assert_eq!(seen(cluster), before);
    let other = server.create("other").expect("a database");
    cluster.restart(&format!("--store={other}"), |place| {
        let copied = place.run(&copy("./scheduler", &other)).success().stdout;
        assert!(copied.contains("jobs: 4 rows\n"), "{copied}");
        let refused = place.run(&copy("./scheduler", &other)).raw_transcript();
        assert!(
            refused.contains("has rows; choose an empty place"),
            "{refused}"
        );
    });
}

#[test]
fn a_cluster_runs_on_a_database_and_moves_to_files_and_back() {
    let server = match PostgreSql::start(&[]) {
        Ok(server) => server,
        Err(error) => return report_not_run("a cluster in PostgreSQL", &format!("{error:#}")),
    };
    let store = server.create("farm").expect("a database");
    let options = format!("--store={store}");
    let mut cluster = Cluster::start_with(&options);
    let worker = cluster.worker("w1");
    let first = submit(&cluster, "Dockerfile", "--label branch=main");
    let _ended = wait(&cluster, &first).success();
    let failed = submit(&cluster, "Dockerfile.fail", "");
    assert_ne!(wait(&cluster, &failed).code(), 0);
    for (command, arguments) in [
        ("add-client", "alice".to_owned()),
        ("set-rate", format!("{POOL} alice 2.5")),
        ("pause", format!("{POOL} w1 --note disk")),
    ] {
        let _done = cluster.admin(command, &arguments).success();
    }
    let queued = submit(&cluster, "Dockerfile", "");
    drop(worker);
    let before = seen(&cluster);
    assert!(
        before[2].contains(&first) && before[2].contains(&queued),
        "{before:?}"
    );
    assert!(
        before[1].contains("\"pause\"") && before[0].contains("alice"),
        "{before:?}"
    );
    // To lock the directory makes an empty file.
    let file = cluster.place.path().join("scheduler/jobs.db");
    assert_eq!(file.metadata().expect("a file").len(), 0);

    // The database restarts, and so does the scheduler.
    server.restart().expect("it starts");
    let last = submit(&cluster, "Dockerfile.wait", "");
    let before = seen(&cluster);
    cluster.restart(&options, |_| {});
    assert_eq!(seen(&cluster), before);

    move_to_files_and_back(&mut cluster, &server, &store);
    assert_eq!(seen(&cluster), before);

    // What waited is run.
    let _done = cluster.admin("unpause", &format!("{POOL} w1")).success();
    let _worker = cluster.worker("w1");
    cluster.release_builds();
    for job in [&queued, &last] {
        let _ended = wait(&cluster, job).success();
    }
}

#[test]
fn no_error_shows_a_password() {
    let cluster = Cluster::start();
    let scheduler = "ocluster-scheduler --capnp-secret-key-file=key.pem --capnp-listen-address=tcp:127.0.0.1:0 \
         --secrets-dir=capnp-secrets --state-dir=other --pools=a";
    let place = &cluster.place;
    let outcomes = [
        place.run(&format!(
            "{scheduler} --store=postgres://me:hunter2@localhost/x"
        )),
        place.run(&format!(
            "{scheduler} --store=postgres://localhost/x?password=hunter2"
        )),
        place.run_with(
            &[("OCLUSTER_STORE_PASSWORD", "hunter2")],
            &format!("{scheduler} --store=postgres://me@127.0.0.1:1/x"),
        ),
    ];
    for outcome in outcomes {
        assert_ne!(outcome.code(), 0);
        let text = outcome.raw_transcript();
        let shown = text
            .lines()
            .filter(|line| !line.starts_with('$'))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_scheduler_with_another_key_is_refused() {
    let server = match PostgreSql::start(&[]) {
        Ok(server) => server,
        Err(error) => return report_not_run("two schedulers on PostgreSQL", &format!("{error:#}")),
    };
    let store = server.create("farm").expect("a database");
    let first = Cluster::start_with(&format!("--store={store}"));
    let other = first.place.run(&format!(
        "ocluster-scheduler --capnp-secret-key-file=./other.pem --capnp-listen-address=tcp:127.0.0.1:0 \
         --secrets-dir=./capnp-secrets --state-dir=./other --pools={POOL} --store={store}"
    ));
    assert_ne!(other.code(), 0);
    let text = other.raw_transcript();
    assert!(
        text.contains("the schedulers on a database must have the same key: process "),
        "{text}"
    );
    // The first one leads as before, and may change its own key.
    first.shows("capacity: 0");
    first.scheduler.signal(Signal::TERM);
}
