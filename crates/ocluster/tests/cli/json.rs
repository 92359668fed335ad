//! What each command prints for programs: pinned, with what differs from run to run replaced.

use expect_test::{Expect, expect_file};
use rustix::process::Signal;

use crate::cluster::{Cluster, POOL};
use crate::harness::{Outcome, Running, without_times};

/// The command lines of a test, and the output of each.
#[derive(Default)]
struct Transcript(Vec<String>);

impl Transcript {
    fn add(&mut self, outcome: &Outcome) {
        self.0.push(normalised(&outcome.raw_transcript()));
    }

    /// Adds the output of a command about a job that the scheduler keeps, whose id is random.
    fn add_kept(&mut self, outcome: &Outcome, id: &str) {
        let text = normalised(&outcome.raw_transcript()).replace(id, "ID");
        self.0.push(without_ids(&text));
    }

    /// Runs a command of the admin.
    fn admin(&mut self, cluster: &Cluster, command: &str, args: &str) {
        self.add(&cluster.admin(command, &format!("{args} --output json")));
    }

    /// Adds the events of a job in their most frequent form: the pieces of the log are as large as
    /// the network makes them, and a quick job may have ended before anybody could ask where it was.
    fn add_job(&mut self, outcome: &Outcome) {
        let transcript = outcome.raw_transcript();
        let mut lines: Vec<String> = Vec::new();
        for line in transcript.lines() {
            let is_waiting = |line: &str| line.starts_with("{\"event\":\"queued\"");
            let piece = line.strip_prefix("{\"event\":\"log\",\"text\":\"");
            let before = lines.last_mut();
            match (piece, before) {
                (Some(piece), Some(log)) if log.starts_with("{\"event\":\"log\"") => {
                    log.truncate(log.len() - "\"}".len());
                    log.push_str(piece);
                }
                (None, Some(before)) if is_waiting(line) && is_waiting(before) => {}
                // A quick job may or may not be seen in the queue.
                _ if is_waiting(line) && line.contains("\"obstacle\":null") => {}
                _ => lines.push(without_seconds(&without_ids(line).replace(
                    "\"running\",\"worker\":null",
                    "\"running\",\"worker\":\"w1\"",
                ))),
            }
        }
        self.0.push(lines.join("\n") + "\n");
    }

    fn check(&self, expected: expect_test::ExpectFile) {
        expected.assert_eq(&self.0.join("\n"));
    }
}

/// Returns `text` with the ids of events replaced.
fn without_ids(text: &str) -> String {
    const ID: &str = "\"submitted\",\"id\":\"";
    match text.split_once(ID) {
        Some((begin, rest)) => {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
            format!("{begin}{ID}ID{rest}")
        }
        None => text.to_owned(),
    }
}

/// Returns an object on one line with its numbers of seconds replaced.
fn without_seconds(line: &str) -> String {
    const SECONDS: &str = "_seconds\":";
    let mut pieces = line.split(SECONDS);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push_str(SECONDS);
        out.push_str("SECONDS");
        out.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'));
    }
    out
}

/// Returns `text` with numbers of seconds, bytes, and secrets replaced.
fn normalised(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let Some((name, value)) = line.split_once("\": ") else {
            return line.to_owned();
        };
        let comma = if value.ends_with(',') { "," } else { "" };
        let field = name.trim_start().trim_start_matches('"');
        match field {
            // Only numbers that differ between runs are replaced.
            _ if field.ends_with("_seconds") && value != "null" && value != "null," => {
                format!("{name}\": SECONDS{comma}")
            }
            "id" if is_job_id(value) => format!("{name}\": \"ID\"{comma}"),
            "time" => format!("{name}\": \"TIME\"{comma}"),
            "sturdy_ref" | "url" => format!("{name}\": \"SECRET\"{comma}"),
            "total" | "free" => format!("{name}\": BYTES{comma}"),
            "value" => format!("{name}\": NUMBER{comma}"),
            "text" if value.contains(" ago") => without_times(line),
            _ => line.to_owned(),
        }
    });
    lines.map(|line| line + "\n").collect()
}

/// Returns whether a quoted value is the id of a job, which is random.
fn is_job_id(value: &str) -> bool {
    let id = value.trim_end_matches(',').trim_matches('"');
    let is_of_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    id.len() == 12 && id.chars().all(is_of_id)
}

/// Ends a worker, and waits until the scheduler knows.
fn leave(cluster: &mut Cluster, worker: Running, name: &str) {
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), 0);
    cluster
        .scheduler
        .wait_for(&format!("Release worker \"{name}\""));
}

fn add_what_is_shown(transcript: &mut Transcript, cluster: &Cluster) {
    transcript.admin(cluster, "show", "");
    transcript.admin(cluster, "show", POOL);
    transcript.admin(cluster, "show", "linux-x86_64 w1");
    transcript.admin(cluster, "show", "linux-x86_64 nobody");
    transcript.admin(cluster, "show", "nowhere");
}

#[test]
fn of_the_admin() {
    let mut cluster = Cluster::start_with("--web=0");
    let mut transcript = Transcript::default();
    let _w1 = cluster.worker("w1");
    let mut w2 = cluster.worker("w2");
    let w3 = cluster.worker("w3");
    leave(&mut cluster, w3, "w3");
    let paused = cluster.admin("pause", "linux-x86_64 w2").success();
    assert_eq!(paused.stdout, "Success.\n");
    let mut client = cluster.submit("Dockerfile.wait");
    client.wait_for_output("RUN WAIT");

    add_what_is_shown(&mut transcript, &cluster);

    transcript.admin(&cluster, "pause", "--all linux-x86_64");
    transcript.admin(&cluster, "pause", "linux-x86_64");
    transcript.admin(&cluster, "unpause", "linux-x86_64 w1");
    transcript.admin(&cluster, "pause-worker", "linux-x86_64 w1");
    transcript.admin(&cluster, "unpause-worker", "linux-x86_64 w1");
    transcript.admin(&cluster, "pause", "--wait linux-x86_64 w2");

    // A drain that lasts.
    let drain = "ocluster-admin drain --output json ./capnp-secrets/admin.cap linux-x86_64 w1";
    let mut drain = cluster.place.start(drain);
    drain.wait_for_output("\"running_jobs\":1");
    cluster.release_builds();
    transcript.add(&drain.wait().success());
    let _job = client.wait().success();

    // All are paused, so this one waits.
    let mut queued = cluster.place.start(
        "ocluster-client submit-docker ./capnp-secrets/submission.cap --output json --pool=linux-x86_64 \
         --cache-hint tutorial --local-dockerfile Dockerfile",
    );
    queued.wait_for_output("queued");
    transcript.admin(&cluster, "show", POOL);
    transcript.admin(&cluster, "cancel", "linux-x86_64 2");
    assert_eq!(queued.wait().code(), 130);

    let update = "ocluster-admin update --output json ./capnp-secrets/admin.cap linux-x86_64 w2";
    let update = cluster.place.start(update);
    w2.wait_for("Updating");
    assert_eq!(w2.wait().code(), 1);
    let _w2 = cluster.worker("w2");
    transcript.add(&update.wait().success());
    transcript.admin(&cluster, "update", "linux-x86_64 w3");

    for _ in 0..2 {
        transcript.admin(&cluster, "add-client", "alice");
    }
    transcript.admin(&cluster, "list-clients", "");
    transcript.admin(&cluster, "set-rate", "linux-x86_64 alice 2.5");
    transcript.admin(&cluster, "remove-client", "alice");
    transcript.admin(&cluster, "forget", "linux-x86_64 w1");
    transcript.admin(&cluster, "forget", "--all linux-x86_64");
    transcript.admin(&cluster, "jobs", "--client nobody");
    transcript.admin(&cluster, "job", "u");
    transcript.admin(&cluster, "job-log", "u");
    transcript.admin(&cluster, "audit", "--limit 2");
    transcript.admin(&cluster, "web", "");
    transcript.admin(&cluster, "schedulers", "");
    transcript.admin(&cluster, "step-down", "");
    for line in [
        "ocluster-admin exec --output json ./capnp-secrets/admin.cap linux-x86_64 -- test {} = w1",
        "ocluster-admin store copy --output json here there",
    ] {
        transcript.add(&cluster.place.run(line));
    }
    transcript.check(expect_file!["json/ocluster-admin.txt"]);
}

#[test]
fn of_the_client() {
    let mut cluster = Cluster::start();
    let mut transcript = Transcript::default();
    let line = |dockerfile: &str| {
        format!(
            "ocluster-client submit-docker ./capnp-secrets/submission.cap --output json \
             --pool={POOL} --local-dockerfile {dockerfile}"
        )
    };
    // One job waits until there is a worker.
    let mut waits = cluster.place.start(&line("Dockerfile.wait"));
    waits.wait_for_output("no worker has ever registered");
    let _w1 = cluster.worker("w1");
    waits.wait_for_output("RUN WAIT");
    cluster.release_builds();
    transcript.add_job(&waits.wait().success());
    transcript.add_job(&cluster.place.run(&line("Dockerfile.fail")));
    cluster.place.write("a.spec", "((from busybox))");
    transcript.add_job(&cluster.place.run(&format!(
        "ocluster-client submit-obuilder -c ./capnp-secrets/submission.cap --output=json \
         --pool={POOL} --local-file a.spec"
    )));
    transcript.add_job(&cluster.place.run(&format!(
        "ocluster-client submit-custom -c ./capnp-secrets/submission.cap --output=json \
         --pool={POOL} --kind=shell"
    )));
    transcript.add_job(&cluster.place.run(
        "ocluster-client submit-obuilder -c ./capnp-secrets/submission.cap --output=json \
         --pool=nowhere --local-file a.spec",
    ));
    transcript.add_job(&cluster.place.run(&format!(
        "ocluster-client submit-custom -c ./capnp-secrets/submission.cap --output=json \
         --pool={POOL} --kind=deploy"
    )));
    transcript.check(expect_file!["json/ocluster-client.txt"]);
}

#[test]
fn of_kept_jobs() {
    let mut cluster = Cluster::start_with("--web=0");
    let submit = |options: &str| {
        let line = format!(
            "ocluster-client submit-docker -c ./capnp-secrets/submission.cap --output json --pool={POOL} --detach \
             {options} --local-dockerfile Dockerfile.fail"
        );
        let submitted = cluster.place.run(&line).success();
        let event: serde_json::Value = serde_json::from_str(&submitted.stdout).expect("an event");
        (submitted, event["id"].as_str().expect("an id").to_owned())
    };
    let (submitted, id) = submit("--label branch=main --key build-1");
    let (_, other) = submit("");
    let mut transcript = Transcript::default();
    transcript.add_kept(&submitted, &id);
    let run = |command: &str| {
        cluster.place.run(&format!(
            "ocluster-client {command} --output json -c ./capnp-secrets/submission.cap"
        ))
    };
    transcript.add_kept(&run(&format!("status {id}")), &id);
    transcript.add_kept(&run(&format!("cancel {other}")), &other);
    let _w1 = cluster.worker("w1");
    for command in [
        "wait ID",
        "jobs --label branch=main",
        "status ID",
        "logs ID",
        "share ID",
        "web ID",
    ] {
        let ended = cluster.place.run(&format!(
            "ocluster-client {} --output json -c ./capnp-secrets/submission.cap",
            command.replace("ID", &id)
        ));
        transcript.add_kept(&ended, &id);
    }
    let retried = cluster.place.run(&format!(
        "ocluster-client retry --detach {id} --output json -c ./capnp-secrets/submission.cap"
    ));
    transcript.add_kept(&retried, &id);
    transcript.check(expect_file!["json/ocluster-client-jobs.txt"]);
}

#[test]
fn of_the_tools() {
    let cluster = Cluster::start();
    let mut transcript = Transcript::default();
    transcript.add(
        &cluster
            .place
            .run("ocluster doctor --connect ./capnp-secrets/admin.cap --output json"),
    );
    transcript.add(&cluster.place.run(&format!(
        "ocluster bench idle --submission ./capnp-secrets/submission.cap \
         --pool-cap ./capnp-secrets/pool-{POOL}.cap --pool {POOL} --idle-workers 3 --output json"
    )));
    transcript.check(expect_file!["json/ocluster.txt"]);
}

#[test]
fn of_obuilder() {
    if !rig::is_root() {
        rig::report_not_run("json::of_obuilder", "root");
        return;
    }
    let place = crate::harness::Place::new();
    let store = format!(
        "--store=rsync:{}/store --rsync-mode=copy",
        place.path().display()
    );
    let mut transcript = Transcript::default();
    for command in ["ls", "df", "cache ls", "image ls"] {
        transcript.add(&place.run(&format!("obuilder {command} --output json {store}")));
    }
    transcript.check(expect_file!["json/obuilder.txt"]);
}

#[test]
fn an_invalid_command_line_is_reported_in_json_too() {
    let place = crate::harness::Place::new();
    let check = |line: &str, expected: Expect| expected.assert_eq(&place.run(line).transcript());
    check(
        "ocluster-admin --output json show",
        expect_test::expect![[r#"
            $ ocluster-admin --output json show
            {"error":{"kind":"usage","message":"required argument CAP is missing","hints":["give the cap file as \
                the first argument, or with --connect=FILE"],"exit_code":124}}
            2> ocluster-admin: required argument CAP is missing
            2> Hint: give the cap file as the first argument, or with --connect=FILE
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]
        "#]],
    );
    check(
        "ocluster-admin --output json show --nonsense",
        expect_test::expect![[r#"
            $ ocluster-admin --output json show --nonsense
            {"error":{"kind":"usage","message":"unexpected argument '--nonsense' found\n\n  tip: to pass \
                '--nonsense' as a value, use '-- --nonsense'\n\nUsage: ocluster-admin show [OPTIONS] [CAP] \
                [POOL] [WORKER]","hints":[],"exit_code":124}}
            2> ocluster-admin: unexpected argument '--nonsense' found
            2> 
            2>   tip: to pass '--nonsense' as a value, use '-- --nonsense'
            2> 
            2> Usage: ocluster-admin show [OPTIONS] [CAP] [POOL] [WORKER]
            2> Try 'ocluster-admin --help' for more information.
            [exit code 124]
        "#]],
    );
}
