//! Logs with the time of each line, and the phases of a job, as the client and an operator see them.

use serde_json::Value;

use crate::attached::AttachedJob;
use crate::cluster::{Cluster, POOL};
use crate::durable::{CAP, client, detach, submit};
use crate::older_peers::OlderPeer;

/// A Dockerfile whose lines the fake engine prints as steps.
const STEPS: &str = "Step 1/2 : FROM busybox\nStep 2/2 : RUN WAIT\n";

/// Checks that each line begins with a time, and returns the lines without.
fn without(log: &str, width: usize) -> String {
    let lines = log.lines().map(|line| {
        let (time, rest) = line.split_at_checked(width).expect("a time");
        let is_time = |c: char| c.is_ascii_digit() || "-T:Z. ".contains(c);
        assert!(time.chars().all(is_time) && time.ends_with("  "), "{line}");
        assert!(time.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        format!("{rest}\n")
    });
    lines.collect()
}

#[test]
fn lines_and_phases_have_times() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    cluster.place.write("Dockerfile.steps", STEPS);
    let place = &cluster.place;
    let id = detach(place, "", "Dockerfile.steps");
    let mut following = place.start(&format!("ocluster-client logs -f --elapsed {CAP} {id}"));
    following.wait_for_output("RUN WAIT");
    let running = client(place, "status", &id).success().stdout;
    assert!(
        running.contains("  step    2/2 RUN WAIT (running)\n"),
        "{running}"
    );
    cluster.release_builds();
    let followed = following.wait().success().stdout;
    let place = &cluster.place;
    let log = client(place, "logs", &id).success().stdout;
    assert_eq!(without(&followed, 11), log);
    let utc = client(place, "logs", &format!("--timestamps {id}"));
    assert_eq!(without(&utc.success().stdout, 22), log);
    let elapsed = cluster.admin("job-log", &format!("--elapsed {id}"));
    assert_eq!(elapsed.success().stdout, followed);
    let as_json = client(
        place,
        "logs",
        &format!("--elapsed --output json --tail 1 {id}"),
    );
    let event: Value = serde_json::from_str(&as_json.success().stdout).expect("one event");
    let text = event["text"].as_str().expect("a text");
    assert_eq!(without(text, 11), "Job succeeded\n");
    for shown in [client(place, "status", &id), cluster.admin("job", &id)] {
        let shown = shown.success().stdout;
        assert!(shown.contains("  image   1/2 FROM busybox\n"), "{shown}");
        assert!(shown.contains("  step    2/2 RUN WAIT\n"), "{shown}");
    }
    let both = client(place, "logs", &format!("--elapsed --timestamps {id}"));
    assert_eq!(both.code(), 124, "{}", both.stderr);
}

#[test]
fn the_log_of_a_submitted_job_has_times() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let place = &cluster.place;
    let submitted = place.run(&submit("--elapsed", "Dockerfile")).success();
    let (heading, log) = submitted.stdout.split_once('\n').expect("lines");
    assert_eq!(heading, "Tailing log:");
    let log = without(log, 11);
    assert!(log.ends_with("RUN date\nJob succeeded\n"), "{log}");
    assert!(
        !submitted.stderr.contains("no times"),
        "{}",
        submitted.stderr
    );
    let options = "--timestamps --output json";
    let events = place.run(&submit(options, "Dockerfile.fail"));
    assert_eq!(events.code(), 1, "{}", events.transcript());
    let events = events.stdout.lines().map(|line| {
        let event: Value = serde_json::from_str(line).expect("an event");
        event["text"].as_str().unwrap_or_default().to_owned()
    });
    let log = without(&events.collect::<String>(), 22);
    assert!(log.contains("RUN FAIL\n"), "{log}");
    // Chapter: a job that is retried has them, too.
    let listed = client(place, "jobs", "--state failed --output json").success();
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let id = listed["jobs"][0]["id"].as_str().expect("an id");
    let again = client(place, "retry", &format!("--elapsed {id}"));
    let log = again.stdout.lines().find(|line| line.ends_with("RUN FAIL"));
    assert_eq!(without(log.expect("its step"), 11), "RUN FAIL\n");
    // Chapter: a default for all commands is no mistake where no log is shown.
    let variables = [("OCLUSTER_ELAPSED", "true")];
    let detached = place.run_with(&variables, &submit("--detach", "Dockerfile"));
    assert_eq!(detached.success().stdout.trim_end().len(), 12);
}

#[test]
fn a_log_without_times_is_shown_and_that_is_said_once() {
    let cluster = Cluster::start();
    let place = &cluster.place;
    let _old = OlderPeer::worker(place, POOL);
    let submitted = place.run(&submit("--elapsed", "Dockerfile")).success();
    let log = "        -  built by an old worker\n";
    assert!(submitted.stdout.contains(log), "{}", submitted.stdout);
    let said =
        "The log of attempt 1 has no times: worker \"old\" has not reported when it was written\n";
    assert_eq!(
        submitted.stderr.matches(said).count(),
        1,
        "{}",
        submitted.stderr
    );
    let listed = client(place, "jobs", "--output json").success();
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let id = listed["jobs"][0]["id"].as_str().expect("an id");
    for shown in [
        client(place, "logs", &format!("--timestamps {id}")),
        cluster.admin("job-log", &format!("--timestamps {id}")),
    ] {
        let shown = shown.success();
        assert_eq!(
            shown.stdout,
            "-                     built by an old worker\n"
        );
        assert_eq!(shown.stderr.matches(said).count(), 1, "{}", shown.stderr);
    }
    let _scheduler = OlderPeer::scheduler(place);
    let refused = place.run(&submit("--elapsed", "Dockerfile").replace(CAP, "old.cap"));
    assert_eq!(refused.code(), 1, "{}", refused.transcript());
    let said = "The log has no times: this scheduler does not keep when logs are written\n";
    assert_eq!(
        refused.stderr.matches(said).count(),
        1,
        "{}",
        refused.stderr
    );
}

#[test]
fn an_attached_job_has_phases_and_is_found_by_its_number() {
    let mut cluster = Cluster::start();
    cluster.place.write("Dockerfile.steps", STEPS);
    let mut job = AttachedJob::submit(&cluster, "Dockerfile.steps");
    cluster.comes_to_show("queued (1, the next first):");
    // Chapter: the number is that of show, and the reason is the same everywhere.
    let state = cluster
        .admin("show", &format!("{POOL} --output json"))
        .success();
    let state: Value = serde_json::from_str(&state.stdout).expect("JSON");
    let queued = &state["queue"]["jobs"][0];
    let (number, id) = (&queued["ticket"], queued["id"].as_str().expect("an id"));
    let why = queued["explanation"]["text"].as_str().expect("a reason");
    let name = format!("{POOL}/{number}");
    let shown = cluster.admin("job", &name).success().stdout;
    assert!(shown.contains(&format!("job:        {id}\n")), "{shown}");
    assert!(shown.contains(why), "{shown}");
    let _w1 = cluster.worker("w1");
    job.wait_for_log("RUN WAIT");
    cluster.release_builds();
    job.wait().expect("it succeeds");
    // Chapter: its worker has told when its parts began and ended.
    let begin = std::time::Instant::now();
    let shown = loop {
        let shown = cluster.admin("job", id).success().stdout;
        if shown.contains("  step    2/2 RUN WAIT\n") {
            break shown;
        }
        assert!(begin.elapsed() < crate::harness::LIMIT, "{shown}");
    };
    assert!(shown.contains("  image   1/2 FROM busybox\n"), "{shown}");
    let log = cluster
        .admin("job-log", &format!("--elapsed {id}"))
        .success();
    assert!(without(&log.stdout, 11).ends_with("Job succeeded\n"));
    // Chapter: what is not there.
    let ended = cluster.admin("job", &name);
    let error = format!("no job {number} is queued or running in this pool");
    assert!(ended.stderr.contains(&error), "{}", ended.stderr);
    let typo = cluster.admin("job", &format!("{POOL}/x"));
    assert_eq!(typo.code(), 124, "{}", typo.stderr);
    let unknown = cluster.admin("job", &format!("linux-x86_46/{number}"));
    assert!(unknown.stderr.contains(POOL), "{}", unknown.stderr);
}
