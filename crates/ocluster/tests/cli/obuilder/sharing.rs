//! Results that two stores share, as a user shares them.

use std::fmt::Write as _;

use expect_test::expect;
use rustix::process::Signal;

use crate::harness::{Place, folded};

use super::builder_place;

/// How many steps the spec has. Each writes a number that no other run would have.
const STEPS: usize = 5;

fn spec(end: &str) -> String {
    let mut spec = "((from busybox) (shell /bin/sh -c)".to_owned();
    for step in 0..STEPS {
        let run = format!(r#"(run (shell "cat /proc/sys/kernel/random/uuid > /number-{step}"))"#);
        write!(spec, "\n {run}").unwrap();
    }
    spec + end + ")"
}

/// Returns the options of a store with this name, which has the image.
fn store(place: &Place, name: &str) -> String {
    let store = format!(
        "--store=rsync:{}/{name} --rsync-mode=copy",
        place.path().display()
    );
    let import = format!("obuilder image import busybox image {store}");
    drop(place.run(&import).success());
    store
}

#[test]
fn a_fetch_that_is_killed_leaves_nothing_wrong() {
    let Some(place) = builder_place("a_fetch_that_is_killed_leaves_nothing_wrong") else {
        return;
    };
    if rig::find_program("rsync").is_none() {
        return rig::report_not_run("a_fetch_that_is_killed_leaves_nothing_wrong", "rsync");
    }
    place.write("shared.spec", &spec(""));
    // The last step is shown from the files, and not from a log.
    place.write("shown.spec", &spec(r#" (run (shell "cat /number-*"))"#));
    let cache = format!("--cache=dir:{}/results", place.path().display());
    let first = store(&place, "first");
    let build = format!("obuilder build -f shared.spec src {cache} {first}");
    let built = place.run(&build).success();
    let (_, id) = built.stdout.split_once("Got: \"").unwrap();
    assert!(!built.stdout.contains("fetched"), "{}", built.stdout);
    let key = place.run(&format!("obuilder key {first}")).success();
    assert!(key.stdout.starts_with("ed25519:"), "{}", key.stdout);
    place.write("keys", &format!("# the first\n{}", key.stdout.trim()));
    // Of the first store, without a repository.
    let shown = format!("obuilder build -f shown.spec src {first}");
    let numbers = numbers(&place.run(&shown).success().stdout);

    for killed in 0..STEPS {
        let second = store(&place, &format!("second-{killed}"));
        let options = format!("{cache} --cache-mode=read --cache-accept=keys {second}");
        let mut fetching = place.start(&format!("obuilder build -f shared.spec src {options}"));
        fetching.wait_for_output(&format!("/number-{killed}"));
        fetching.signal(Signal::KILL);
        drop(fetching.wait());

        let again = place.run(&format!("obuilder build -f shared.spec src {options}"));
        let again = again.success().stdout;
        assert!(again.contains(id), "{again}");
        let again = place.run(&format!("obuilder build -f shown.spec src {options}"));
        assert_eq!(self::numbers(&again.success().stdout), numbers);
    }

    // A key that is not listed.
    let third = store(&place, "third");
    let build = format!("obuilder build -f shown.spec src {cache} {third}");
    let refused = place.run(&build).success();
    assert!(!refused.stdout.contains("fetched"), "{}", refused.stdout);
    assert_ne!(self::numbers(&refused.stdout), numbers);
    let warnings = refused
        .stderr
        .matches("signed with a key that is not accepted")
        .count();
    assert_eq!(warnings, 1, "{}", refused.stderr);
}

/// Returns the output of the last step.
fn numbers(output: &str) -> Vec<String> {
    let is_number = |line: &&str| line.len() == 36 && line.matches('-').count() == 4;
    output
        .lines()
        .map(str::trim)
        .filter(is_number)
        .map(str::to_owned)
        .collect()
}

#[test]
fn mistakes_with_shared_results() {
    let place = Place::new();
    place.write("keys", "w3\n");
    place.write("a.spec", "((from busybox))");
    let store = format!(
        "--store=rsync:{}/store --rsync-mode=copy",
        place.path().display()
    );
    let run = |options: &str| {
        let line = format!("obuilder build -f a.spec . {store} {options}");
        let text = place.run(&line).raw_transcript();
        text.replace(&place.path().display().to_string(), "$DIR")
            .replace(
                &store.replace(&place.path().display().to_string(), "$DIR"),
                "$STORE",
            )
    };
    let transcripts = [
        "--cache=lab:5000/results",
        "--cache=oci://busybox",
        "--cache=dir:results",
        "--cache=dir:/nonexistent/results --cache-mode=some",
        "--cache=dir:/nonexistent/results --cache-accept=keys",
    ];
    let transcripts = folded(&transcripts.map(run).join("\n"));
    expect![[r#"
        $ obuilder build -f a.spec . $STORE --cache=lab:5000/results
        2> obuilder: invalid value 'lab:5000/results' for '--cache <PLACE>': oci://REGISTRY/REPOSITORY or \
            dir:/PATH is expected
        2> Try 'obuilder --help' for more information.
        [exit code 124]

        $ obuilder build -f a.spec . $STORE --cache=oci://busybox
        2> obuilder: invalid value 'oci://busybox' for '--cache <PLACE>': "busybox" is not \
            REGISTRY/REPOSITORY, with the registry and without a tag
        2> Try 'obuilder --help' for more information.
        [exit code 124]

        $ obuilder build -f a.spec . $STORE --cache=dir:results
        2> obuilder: invalid value 'dir:results' for '--cache <PLACE>': "results" is not an absolute path
        2> Try 'obuilder --help' for more information.
        [exit code 124]

        $ obuilder build -f a.spec . $STORE --cache=dir:/nonexistent/results --cache-mode=some
        2> obuilder: invalid value 'some' for '--cache-mode <MODE>': read, write or read-write is expected
        2> Try 'obuilder --help' for more information.
        [exit code 124]

        $ obuilder build -f a.spec . $STORE --cache=dir:/nonexistent/results --cache-accept=keys
        2> cannot use keys: line 1: "w3" is not a public key: ed25519: and 44 characters are expected
        [exit code 1]
    "#]].assert_eq(&transcripts);
}
