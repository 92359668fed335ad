//! What people read about jobs that the scheduler keeps: each failure, each end, and what a list leaves out.

use rustix::process::Signal;

use crate::cluster::{Cluster, install_fake_docker};
use crate::durable::{CAP, client, detach, start_scheduler, submit};
use crate::harness::{LIMIT, Place};

/// Returns where the scheduler keeps the compressed log of an attempt.
fn archive(place: &Place, id: &str, attempt: u32) -> std::path::PathBuf {
    let folder = place.path().join("scheduler/job-logs").join(&id[..2]);
    folder.join(format!("{id}.{attempt}.zst"))
}

#[test]
fn a_follower_goes_on_with_the_next_attempt_when_the_rest_of_a_log_is_lost() {
    let mut cluster = Cluster::start();
    let id = detach(&cluster.place, "", "Dockerfile.wait");
    let mut w1 = cluster.worker("w1");
    let follow = format!("ocluster-client logs -f {CAP} {id}");
    let mut following = cluster.place.start(&follow);
    following.wait_for_output("RUN WAIT");
    // It can be read no more.
    std::fs::create_dir(archive(&cluster.place, &id, 1)).unwrap();
    w1.signal(Signal::KILL);
    w1.wait_until_ended();
    let _again = cluster.worker("w1");
    following.wait_for("Cannot read the rest of the log of attempt 1: ");
    following.wait_for("Attempt 2 begins anew:");
    cluster.release_builds();
    let ended = following.wait().success();
    assert!(
        ended.stdout.ends_with("Job succeeded\n"),
        "{}",
        ended.stdout
    );
    let end = format!("Job {id} succeeded\n");
    assert!(ended.stderr.ends_with(&end), "{}", ended.stderr);

    // That of the last attempt is an error.
    let archived = archive(&cluster.place, &id, 2);
    let begin = std::time::Instant::now();
    while !archived.exists() {
        assert!(begin.elapsed() < LIMIT, "it is never compressed");
    }
    std::fs::write(&archived, "damaged").unwrap();
    let incomplete = cluster.place.run(&follow);
    assert_eq!(incomplete.code(), 1, "{}", incomplete.transcript());
    let error = "cannot show the whole log: its end is missing\n";
    assert!(incomplete.stderr.ends_with(error), "{}", incomplete.stderr);
}

#[test]
fn a_follower_learns_why_a_job_waits_and_how_it_ends() {
    let cluster = Cluster::start();
    let place = &cluster.place;
    let id = detach(place, "", "Dockerfile");
    let mut following = place.start(&format!("ocluster-client logs -f {CAP} {id}"));
    following.wait_for("queued: no worker has ever registered in pool linux-x86_64");
    let _cancelled = client(place, "cancel", &id).success();
    let ended = following.wait().success();
    let end = format!("Job {id} cancelled by its client\n");
    assert!(ended.stderr.ends_with(&end), "{}", ended.stderr);
}

#[test]
fn each_job_that_cannot_be_waited_for_or_cancelled_is_reported() {
    let cluster = Cluster::start();
    let place = &cluster.place;
    let one = detach(place, "", "Dockerfile");
    let two = detach(place, "", "Dockerfile");
    let _cancelled = client(place, "cancel", &one).success();
    let has = |text: &str, parts: &[&str]| {
        for part in parts {
            assert!(text.contains(part), "no {part} in:\n{text}");
        }
    };
    let waited = client(place, "wait", &format!("none-1 {one} none-2"));
    assert_eq!(waited.code(), 1, "{}", waited.transcript());
    assert_eq!(waited.stdout, format!("{one} cancelled by its client\n"));
    has(
        &waited.stderr,
        &["you have no job \"none-1\"", "you have no job \"none-2\""],
    );
    let waited = client(place, "wait", &format!("{one} none-1"));
    assert_eq!(waited.code(), 130, "the first decides");

    let ended = format!("cannot cancel job {one}: it has ended");
    let cancelled = client(place, "cancel", &format!("{one} none-1 {two}"));
    assert_eq!(cancelled.code(), 1, "{}", cancelled.transcript());
    assert_eq!(cancelled.stdout, format!("Cancelled job {two}.\n"));
    has(&cancelled.stderr, &[&ended, "you have no job \"none-1\""]);
    let cancelled = client(place, "cancel", &format!("--output json {one} {two}"));
    has(
        &cancelled.stdout,
        &["\"jobs\": []", &ended, "\"exit_code\":1"],
    );
    let last = cancelled.stdout.lines().last().unwrap_or_default();
    assert!(
        last.contains(&one),
        "the first one is the last line: {last}"
    );
}

#[test]
fn a_list_has_entries_only_and_standard_error_has_the_rest() {
    let cluster = Cluster::start();
    let place = &cluster.place;
    let _one = detach(place, "--label pr=1", "Dockerfile");
    let _two = detach(place, "--label pr=1", "Dockerfile");
    let _added = cluster.admin("add-client", "alice").success();
    let _added = cluster.admin("add-client", "bob").success();
    for (listed, what) in [
        (client(place, "jobs", "--limit 1"), "jobs"),
        (cluster.admin("jobs", "--limit 1"), "jobs"),
        (cluster.admin("audit", "--limit 1"), "entries"),
    ] {
        let listed = listed.success();
        assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
        let more = format!("There are more than 1 {what}; show more with --limit.\n");
        assert!(listed.stderr.ends_with(&more), "{}", listed.stderr);
    }
    let cancelled = client(place, "cancel", "--label pr=1").success();
    assert_eq!(cancelled.stdout.lines().count(), 2, "{}", cancelled.stdout);
    let none = client(place, "cancel", "--label pr=1").success();
    let error = "No job with that label is queued or running.\n";
    assert!(none.stderr.ends_with(error), "{}", none.stderr);
}

#[test]
fn a_job_that_cannot_be_cancelled_as_its_scheduler_is_away_may_go_on() {
    let place = Place::new();
    install_fake_docker(&place);
    std::fs::create_dir(place.path().join("capnp-secrets")).unwrap();
    let scheduler = start_scheduler(&place);
    let mut client = place.start(&submit("", "Dockerfile"));
    client.wait_for("queued: ");
    scheduler.signal(Signal::KILL);
    client.wait_for("; reconnecting, the job goes on\n");
    client.signal(Signal::INT);
    client.wait_for("Cancelling the job");
    client.signal(Signal::INT);
    let ended = client.wait();
    assert_eq!(ended.code(), 130);
    let stderr = &ended.stderr;
    let error = "Interrupted: the scheduler does not answer, so the job may go on.\n\
                 Hint: cancel it later with: ocluster-client cancel CAP ";
    assert!(stderr.contains(error), "{stderr}");
}
