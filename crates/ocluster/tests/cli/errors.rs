//! The usual errors of each command; and that no command is without its help, its error and its
//! JSON here.

use clap::Command;
use expect_test::{ExpectFile, expect_file};
use ocluster::reference;

use crate::cluster::Cluster;
use crate::harness::Place;

/// Checks the output of each of the command lines.
fn check(place: &Place, lines: &[&str], expected: ExpectFile) {
    let transcripts: Vec<String> = lines
        .iter()
        .map(|line| place.run(line).transcript())
        .collect();
    expected.assert_eq(&transcripts.join("\n"));
}

#[test]
fn of_the_scheduler() {
    let lines = ["ocluster-scheduler --pools=linux-x86_64"];
    check(
        &Place::new(),
        &lines,
        expect_file!["errors/ocluster-scheduler.txt"],
    );
}

#[test]
fn of_the_worker() {
    let lines = ["ocluster-worker pool.cap --name=w1 --state-dir=w1"];
    check(
        &Place::new(),
        &lines,
        expect_file!["errors/ocluster-worker.txt"],
    );
}

#[test]
fn of_the_client() {
    let cluster = Cluster::start();
    cluster.place.write("a.spec", "((from busybox))");
    let begin = "./capnp-secrets/submission.cap --pool=nowhere";
    check(
        &cluster.place,
        &[
            &format!("ocluster-client submit-docker {begin} --local-dockerfile Dockerfile"),
            &format!("ocluster-client submit-docker {begin} https://example.com/repo.git"),
            &format!("ocluster-client submit-obuilder {begin} --local-file a.spec"),
            &format!("ocluster-client submit-obuilder {begin} --local-file nowhere.spec"),
            &format!("ocluster-client submit-custom {begin} --kind shell --payload nowhere.sh"),
            "ocluster-client submit-obuilder ./capnp-secrets/admin.cap --pool=linux-x86_64 --local-file a.spec",
            &format!("ocluster-client submit-custom {begin} --kind=deploy --payload=nowhere"),
            &format!("ocluster-client submit-obuilder {begin} --local-file a.spec --label main"),
            &format!("ocluster-client submit-obuilder {begin} --local-file a.spec --timeout 0"),
            "ocluster-client jobs ./capnp-secrets/submission.cap --state ended",
            "ocluster-client jobs ./capnp-secrets/submission.cap --since yesterday",
            "ocluster-client jobs ./capnp-secrets/admin.cap",
            "ocluster-client status ./capnp-secrets/submission.cap",
            "ocluster-client status ./capnp-secrets/submission.cap nonsense",
            "ocluster-client logs ./capnp-secrets/submission.cap 0",
            "ocluster-client wait ./capnp-secrets/submission.cap 0",
            "ocluster-client cancel ./capnp-secrets/submission.cap",
            "ocluster-client cancel ./capnp-secrets/submission.cap --label pr=1 0",
            "ocluster-client retry ./capnp-secrets/submission.cap 0",
            "ocluster-client share ./capnp-secrets/submission.cap",
            "ocluster-client web ./capnp-secrets/submission.cap",
            "ocluster-client web ./capnp-secrets/submission.cap --only",
            "ocluster-client web ./capnp-secrets/admin.cap",
        ],
        expect_file!["errors/ocluster-client.txt"],
    );
}

#[test]
fn of_the_admin() {
    let mut cluster = Cluster::start();
    let _w1 = cluster.worker("w1");
    let _added = cluster.admin("add-client", "alice").success();
    let lines = [
        "show CAP nowhere",
        "show CAP nowhere w1",
        "show CAP linux-x86_64 nobody",
        "show ./capnp-secrets/submission.cap",
        "show ./capnp-secrets/pool-linux-x86_64.cap linux-x86_64",
        "pause CAP linux-x86_64 nobody",
        "pause CAP nowhere --all",
        "unpause CAP linux-x86_64 nobody",
        "pause-worker CAP linux-x86_64 nobody",
        "unpause-worker CAP linux-x86_64 nobody",
        "drain CAP linux-x86_64 nobody",
        "drain CAP nowhere --all",
        "cancel CAP linux-x86_64",
        "cancel CAP linux-x86_64 17 all",
        "cancel CAP linux-x86_64 17",
        "cancel CAP linux-x86_46 17",
        "cancel CAP --job u",
        "cancel CAP linux-x86_64 --job u",
        "jobs CAP --state gone",
        "jobs CAP --label branch",
        "jobs CAP --since yesterday",
        "job CAP",
        "job CAP u",
        "job-log CAP u",
        "audit CAP --since 7x",
        "audit ./capnp-secrets/submission.cap",
        "update CAP linux-x86_64 nobody",
        "update CAP nowhere",
        "add-client CAP alice",
        "remove-client CAP alcie",
        "list-clients ./capnp-secrets/submission.cap",
        "set-rate CAP linux-x86_64 nobody 1",
        "forget CAP linux-x86_64 w1",
        "forget CAP linux-x86_64 w2",
        "exec CAP nowhere true",
        "web CAP",
        "web ./capnp-secrets/submission.cap",
        "step-down CAP",
        "schedulers ./capnp-secrets/submission.cap",
        "store copy here there",
        "store copy postgres://me:secret@db/x here",
    ];
    let lines = lines.map(|line| {
        let line = line.replace("CAP", "./capnp-secrets/admin.cap");
        format!("ocluster-admin {line}")
    });
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    check(
        &cluster.place,
        &lines,
        expect_file!["errors/ocluster-admin.txt"],
    );
}

#[test]
fn of_the_rest() {
    let lines = [
        "ocluster dev --capacity=none",
        "ocluster bench everything",
        "ocluster doctor --connect nowhere.cap",
        "ocluster top nowhere.cap",
        "ocluster generate man /dev/null/man",
        "ocluster generate completion tcsh",
        "ocluster generate completion bash ocluster-server",
    ];
    check(&Place::new(), &lines, expect_file!["errors/ocluster.txt"]);
}

#[test]
fn of_obuilder() {
    let place = Place::new();
    place.write("bad.spec", "((from busybox) (nonsense))");
    let lines = [
        "obuilder build -f bad.spec .",
        "obuilder dockerfile -f bad.spec",
        "obuilder healthcheck",
        "obuilder ls nonsense",
        "obuilder log nonsense",
        "obuilder export nonsense",
        "obuilder shell nonsense",
        "obuilder delete nonsense",
        "obuilder clean",
        "obuilder df --store=floppy:/",
        "obuilder cache ls --store=rsync:/store",
        "obuilder cache rm",
        "obuilder healthcheck --seccomp=nowhere.json",
        "obuilder healthcheck --seccomp=bad.spec",
        "obuilder image ls --output=xml",
        "obuilder image import busybox nowhere.tar",
        "obuilder image rm",
        "obuilder key",
    ];
    check(&place, &lines, expect_file!["errors/obuilder.txt"]);
}

/// Checks that what is pinned about a program has a command line of `command`, and of each command below it.
fn covered(command: &Command, line: &str, missing: &mut Vec<String>) {
    let below: Vec<&Command> = command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
        .collect();
    for below in &below {
        covered(below, &format!("{line} {}", below.get_name()), missing);
    }
    let program = line.split(' ').next().expect("a program");
    let mut look = |kind: &str| {
        let path = format!(
            "{}/tests/cli/{kind}/{program}.txt",
            env!("CARGO_MANIFEST_DIR")
        );
        let more = path.replace(".txt", "-jobs.txt");
        let pinned = [path, more].map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let pinned = pinned.concat();
        let begin = format!("$ {line}");
        let has = pinned.lines().any(|pinned| {
            let rest = pinned.strip_prefix(&begin);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        if !has {
            missing.push(format!("{kind}: {line}"));
        }
    };
    look("help");
    if below.is_empty() {
        look("errors");
        let json = command.get_arguments().any(|arg| {
            // Not the format of the log.
            arg.get_long() == Some("output")
                && arg
                    .get_possible_values()
                    .iter()
                    .any(|value| value.get_name() == "json")
        });
        if json {
            look("json");
        }
    }
}

#[test]
fn nothing_is_missing() {
    let mut missing = Vec::new();
    for mut program in reference::commands() {
        program.build();
        covered(&program, program.get_name(), &mut missing);
    }
    assert_eq!(missing, Vec::<String>::new());
}
