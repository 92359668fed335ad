//! The help of every program and command, as users see it on a terminal of 100 columns. It cannot change unseen.

use expect_test::expect_file;

use crate::harness::Place;

/// Returns the help of `name` and of each of its `commands`.
fn help(name: &str, commands: &[&str]) -> String {
    let place = Place::new();
    let lines = std::iter::once(format!("{name} --help")).chain(
        commands
            .iter()
            .map(|command| format!("{name} {command} --help")),
    );
    lines
        .map(|line| format!("$ {line}\n{}", place.run(&line).success().stdout))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn of_the_scheduler() {
    expect_file!["help/ocluster-scheduler.txt"].assert_eq(&help("ocluster-scheduler", &[]));
}

#[test]
fn of_the_worker() {
    expect_file!["help/ocluster-worker.txt"].assert_eq(&help("ocluster-worker", &[]));
}

#[test]
fn of_the_client() {
    let commands = ["submit-docker", "submit-obuilder", "submit-custom"];
    expect_file!["help/ocluster-client.txt"].assert_eq(&help("ocluster-client", &commands));
}

#[test]
fn of_the_admin() {
    let commands = [
        "show",
        "pause",
        "unpause",
        "pause-worker",
        "unpause-worker",
        "update",
        "add-client",
        "remove-client",
        "list-clients",
        "set-rate",
        "forget",
        "exec",
    ];
    expect_file!["help/ocluster-admin.txt"].assert_eq(&help("ocluster-admin", &commands));
}

#[test]
fn of_obuilder() {
    let commands = [
        "build",
        "dockerfile",
        "healthcheck",
        "ls",
        "log",
        "export",
        "shell",
        "delete",
        "clean",
        "df",
        "cache",
        "cache ls",
        "cache rm",
        "image",
        "image ls",
        "image import",
        "image rm",
    ];
    expect_file!["help/obuilder.txt"].assert_eq(&help("obuilder", &commands));
}

#[test]
fn of_the_rest() {
    expect_file!["help/ocluster.txt"].assert_eq(&help("ocluster", &["dev", "bench"]));
}

#[test]
fn upstreams_formats_of_help_and_no_command_at_all_give_the_same() {
    let place = Place::new();
    let plain = place.run("ocluster-admin show --help=plain").success();
    assert_eq!(
        plain.stdout,
        place.run("ocluster-admin show --help").success().stdout
    );
    assert!(
        place
            .run("ocluster-admin")
            .success()
            .stdout
            .contains("list-clients")
    );
    assert!(
        place
            .run("ocluster-admin --version")
            .success()
            .stdout
            .starts_with("ocluster-admin ")
    );
}
