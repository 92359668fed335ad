//! The pages of the manual.

use std::process::Command;

use expect_test::expect_file;
use ocluster::reference;

use crate::harness::Place;

/// Collects the names of the pages for a command and those below it.
fn names(command: &clap::Command, name: &str, found: &mut Vec<String>) {
    found.push(format!("{name}.1"));
    for below in command.get_subcommands() {
        names(below, &format!("{name}-{}", below.get_name()), found);
    }
}

#[test]
fn there_is_one_for_each_command() {
    let place = Place::new();
    let _written = place.run("ocluster generate man man").success();
    let mut expected = Vec::new();
    for program in reference::commands() {
        names(&program, program.get_name(), &mut expected);
    }
    let there = std::fs::read_dir(place.path().join("man")).expect("the directory");
    let there = there.map(|entry| entry.expect("a page").file_name());
    let mut there: Vec<String> = there.map(|name| name.display().to_string()).collect();
    expected.sort_unstable();
    there.sort_unstable();
    assert_eq!(there, expected);
    for (name, pinned) in [
        (
            "ocluster-admin-drain.1",
            expect_file!["man/ocluster-admin-drain.1"],
        ),
        ("ocluster-worker.1", expect_file!["man/ocluster-worker.1"]),
    ] {
        let page = std::fs::read_to_string(place.path().join("man").join(name));
        pinned.assert_eq(&page.expect("a page"));
    }
}

#[test]
fn they_are_good_roff() {
    let Some(groff) = rig::find_program("groff") else {
        return rig::report_not_run("man::they_are_good_roff", "groff");
    };
    let place = Place::new();
    let _written = place.run("ocluster generate man man").success();
    for entry in std::fs::read_dir(place.path().join("man")).expect("the directory") {
        let page = entry.expect("a page").path();
        let checked = Command::new(&groff)
            .args(["-man", "-ww", "-Tutf8", "-z"])
            .arg(&page)
            .output()
            .expect("started groff");
        let warnings = String::from_utf8_lossy(&checked.stderr);
        assert!(
            checked.status.success() && warnings.is_empty(),
            "{}: {warnings}",
            page.display()
        );
    }
}
