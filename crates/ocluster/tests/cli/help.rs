//! The help of every program and command, as users see it on a terminal of 100 columns. It cannot change unseen.

use clap::Command;
use expect_test::expect_file;
use ocluster::reference;

use crate::harness::Place;

/// Checks the help of a program and of each of its commands, whatever commands there are.
fn check(name: &str) {
    let place = Place::new();
    let all = reference::commands();
    let program = all.iter().find(|program| program.get_name() == name);
    let mut lines = Vec::new();
    lines_of(program.expect("a program"), name, &mut lines);
    let help: Vec<String> = lines
        .iter()
        .map(|line| format!("$ {line} --help\n{}", help(&place, line)))
        .collect();
    expect_file![format!("help/{name}.txt")].assert_eq(&help.join("\n"));
}

fn help(place: &Place, line: &str) -> String {
    place.run(&format!("{line} --help")).success().stdout
}

/// Adds the name of a command and those of the commands below it.
fn lines_of(command: &Command, line: &str, lines: &mut Vec<String>) {
    lines.push(line.to_owned());
    for below in command.get_subcommands() {
        lines_of(below, &format!("{line} {}", below.get_name()), lines);
    }
}

#[test]
fn of_the_scheduler() {
    check("ocluster-scheduler");
}

#[test]
fn of_the_worker() {
    check("ocluster-worker");
}

#[test]
fn of_the_client() {
    check("ocluster-client");
}

#[test]
fn of_the_admin() {
    check("ocluster-admin");
}

#[test]
fn of_obuilder() {
    check("obuilder");
}

#[test]
fn of_the_rest() {
    check("ocluster");
}

#[test]
fn each_program_is_here() {
    let here = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/help.rs"));
    let here = here.expect("this file");
    for program in reference::commands() {
        let line = format!("check(\"{}\");", program.get_name());
        assert!(here.contains(&line), "no test has {line}");
    }
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
