//! Logs with the time of each line, and the phases of a job, as the client and an operator see them.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::durable::{CAP, client, detach};

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
