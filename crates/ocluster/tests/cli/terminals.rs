//! The output on a terminal, and that there are no colours if they are disabled: on a terminal, in a pipe and in JSON.

use crate::cluster::{Cluster, POOL};
use crate::harness::{Outcome, Place, Running};

/// The ways to want no colours.
const PLAIN: [(&[(&str, &str)], &str); 3] = [
    (&[("NO_COLOR", "1"), ("TERM", "xterm")], ""),
    (&[("TERM", "dumb")], ""),
    (&[("TERM", "xterm")], "--color=never"),
];

const TERM: &[(&str, &str)] = &[("TERM", "xterm")];

/// Adds a Dockerfile that prints what real builds do: OBuilder's colours, Docker's ends of lines, and a progress bar.
fn colourful(cluster: &Cluster) {
    cluster.place.write(
        "Dockerfile.colours",
        "FROM busybox\n\u{1b}[01;34mblue\u{1b}[0m\nSending context  2kB\r\r\n 10 %\r\u{1b}[K 20 %\r\u{1b}[K\n",
    );
}

fn submit(options: &str) -> String {
    format!(
        "ocluster-client submit-docker ./capnp-secrets/submission.cap --pool={POOL} \
         --local-dockerfile Dockerfile.colours {options}"
    )
}

const COLOURS: &str =
    "\u{1b}[01;34mblue\u{1b}[0m\nSending context  2kB\r\r\n 10 %\r\u{1b}[K 20 %\r\u{1b}[K\n";

const NO_COLOURS: &str = "blue\nSending context  2kB\n 10 %\n 20 %\n";

#[test]
fn a_log_has_no_colours_if_disabled() {
    let mut cluster = Cluster::start();
    colourful(&cluster);
    let _w1 = cluster.worker("w1");
    let piped = |variables: &[(&str, &str)], options: &str| {
        let ended = cluster
            .place
            .run_with(variables, &submit(options))
            .success();
        ended.stdout
    };
    // Unchanged without an option.
    let shown = piped(TERM, "");
    assert!(shown.contains(COLOURS), "{shown:?}");
    for (variables, option) in PLAIN {
        let shown = piped(variables, option);
        assert!(
            shown.contains(NO_COLOURS),
            "{variables:?} {option} {shown:?}"
        );
        let json = piped(variables, &format!("{option} --output=json"));
        assert!(
            json.contains("blue") && !json.contains("\\u001b") && !json.contains("\\r"),
            "{variables:?} {option} {json:?}"
        );
        let shown = on_terminal(&cluster.place, variables, &submit(option))
            .wait()
            .success();
        let shown = shown.stdout.replace("\r\n", "\n");
        assert!(
            shown.contains(NO_COLOURS) && !shown.contains('\u{1b}'),
            "{variables:?} {option} {shown:?}"
        );
    }
}

#[test]
fn a_status_line_needs_no_escape_sequences() {
    let mut cluster = Cluster::start();
    let line = format!(
        "ocluster-client submit-docker ./capnp-secrets/submission.cap --pool={POOL} --local-dockerfile Dockerfile"
    );
    let mut redrawn = on_terminal(&cluster.place, TERM, &line);
    let mut plain = on_terminal(&cluster.place, PLAIN[0].0, &line);
    redrawn.wait_for_output("queued: ");
    plain.wait_for_output("queued: ");
    // A terminal that can only print has no line that passes.
    let dumb = on_terminal(&cluster.place, PLAIN[1].0, &line);
    let _w1 = cluster.worker("w1");
    let shown = |running: Running| running.wait().success().stdout;
    assert!(shown(redrawn).contains("\r\u{1b}[KBuilding on w1"));
    let plain = shown(plain);
    assert!(
        plain.contains("\rBuilding on w1") && !plain.contains('\u{1b}'),
        "{plain:?}"
    );
    let dumb = shown(dumb).replace("\r\n", "\n");
    assert!(!dumb.contains(['\r', '\u{1b}']), "{dumb:?}");
}

#[test]
fn a_workers_log_is_readable_once_a_job_runs() {
    for (variables, option) in [(TERM, ""), PLAIN[0], PLAIN[1], PLAIN[2]] {
        let mut cluster = Cluster::start();
        let line = format!(
            "ocluster-worker ./capnp-secrets/pool-{POOL}.cap --state-dir=./worker --name=w1 --capacity=1 {option}"
        );
        let mut worker = on_terminal(&cluster.place, variables, &line);
        cluster.scheduler.wait_for("Registered new worker");
        let _job = cluster.submit("Dockerfile").wait().success();
        worker.wait_for_output("Job succeeded");
        check(&worker.stdout(), variables, option);
    }
}

#[test]
fn the_log_of_dev_is_readable_too() {
    for (variables, option) in [(TERM, ""), PLAIN[0]] {
        let place = Place::new();
        crate::cluster::install_fake_docker(&place);
        let mut dev = on_terminal(
            &place,
            variables,
            &format!("ocluster dev --pool=mine {option}"),
        );
        dev.wait_for_output("Requesting a new job...");
        let job = "ocluster-client submit-docker ./ocluster-dev/submission.cap --pool=mine \
                   --local-dockerfile Dockerfile";
        let _ended: Outcome = place.run(job).success();
        dev.wait_for_output("Job succeeded");
        check(&dev.stdout(), variables, option);
    }
}

/// Checks the lines about a job: nothing in them is escaped, and only the levels have colours, if anything has.
#[track_caller]
fn check(log: &str, variables: &[(&str, &str)], option: &str) {
    let wants_colour = variables == TERM && option.is_empty();
    let lines = log.lines().filter(|line| line.contains("[job number="));
    assert!(lines.clone().count() > 1, "{log:?}");
    for line in log.lines() {
        assert!(!line.contains("\\u{1b}"), "{line:?}");
        let levels = ["34mINFO", "33mWARNING", "31mERROR"];
        let plain = levels.iter().fold(line.to_owned(), |line, level| {
            let (_, word) = level.split_once('m').unwrap_or_default();
            line.replace(&format!("[\u{1b}[{level}\u{1b}[0m]"), &format!("[{word}]"))
        });
        assert!(!plain.contains('\u{1b}'), "{line:?}");
        assert!(wants_colour || plain == line, "{line:?}");
    }
    let has_colour = log.contains("\u{1b}[34mINFO");
    assert_eq!(has_colour, wants_colour, "{log:?}");
}

fn on_terminal(place: &Place, variables: &[(&str, &str)], line: &str) -> Running {
    place.start_on_terminal_with(variables, line)
}
