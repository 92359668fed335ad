//! Configuration files in the default directory, and options of kinds that the real programs do not have.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgAction, Command};
use expect_test::expect;

use super::*;
use crate::error::CommandError;

/// A program with options of all kinds, some of which exclude each other.
fn program() -> Command {
    let option = |name: &'static str| Arg::new(name).long(name);
    let inner = Command::new("inner").arg(option("deep"));
    let sub = Command::new("sub")
        .subcommand(inner)
        .arg(option("deep").default_value("0"));
    let mut program = with_options(Command::new("ocluster-worker"))
        .arg(option("name").required(true))
        .arg(
            option("here")
                .conflicts_with("there")
                .action(ArgAction::SetTrue),
        )
        .arg(option("there").action(ArgAction::SetTrue))
        .arg(option("loud").action(ArgAction::Count).global(true))
        .arg(option("one-a-line").action(ArgAction::Append))
        .arg(Arg::new("positionals").num_args(0..))
        .subcommand(sub);
    program.build();
    program
}

/// Returns the command line with all values, or the error.
fn full_line(
    directory: &Path,
    variables: &[(&str, &str)],
    words: &str,
) -> Result<String, CommandError> {
    let program = program();
    let words = std::iter::once("ocluster-worker").chain(words.split_whitespace());
    let matches = program.clone().ignore_errors(true).get_matches_from(words);
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let sources = ConfigSources {
        variables: variables.collect::<BTreeMap<_, _>>(),
        directory: directory.to_owned(),
    };
    let settings = Settings::gather(&program, &matches, &sources)?;
    let line = settings.command_line();
    let words: Vec<_> = line.iter().map(|word| word.to_string_lossy()).collect();
    Ok(words.join(" "))
}

#[test]
fn the_file_of_a_programs_name_is_read_if_it_exists() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(full_line(dir.path(), &[], "").unwrap(), "ocluster-worker");
    std::fs::write(dir.path().join("worker.toml"), "name = \"w1\"\n").unwrap();
    assert_eq!(
        full_line(dir.path(), &[], "").unwrap(),
        "ocluster-worker --name=w1"
    );
    let none = [("OCLUSTER_CONFIG", "/dev/null")];
    assert_eq!(full_line(dir.path(), &none, "").unwrap(), "ocluster-worker");
    assert_eq!(
        full_line(dir.path(), &[], "--config=/dev/null").unwrap(),
        "ocluster-worker"
    );
    // One that cannot be read is an error: its options may matter.
    std::fs::remove_file(dir.path().join("worker.toml")).unwrap();
    std::fs::create_dir(dir.path().join("worker.toml")).unwrap();
    let error = full_line(dir.path(), &[], "").unwrap_err();
    assert!(error.message.contains("cannot read"), "{}", error.message);
}

#[test]
fn the_full_command_line_has_values_of_all_sources() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("worker.toml"),
        "name = 7\nhere = true\nloud = 2\none-a-line = [\"a,b\", \"c\"]\n\
         [sub]\ndeep = 1\n[sub.inner]\ndeep = 0x10\n",
    )
    .unwrap();
    let lines = [
        full_line(dir.path(), &[], ""),
        full_line(dir.path(), &[], "--there -- x --y"),
        full_line(
            dir.path(),
            &[("OCLUSTER_ONE_A_LINE", "a\n\nb c"), ("OCLUSTER_HERE", "no")],
            "--name=-w --loud",
        ),
        full_line(dir.path(), &[("OCLUSTER_THERE", "on")], "--here"),
        full_line(dir.path(), &[], "sub --loud"),
        full_line(dir.path(), &[("OCLUSTER_DEEP", "9")], "sub"),
        full_line(dir.path(), &[], "sub inner --deep=3"),
        full_line(dir.path(), &[], "sub inner"),
    ];
    let lines: Vec<String> = lines.into_iter().map(|line| line.unwrap()).collect();
    expect![[r#"
        ocluster-worker --name=7 --here --loud --loud --one-a-line=a,b --one-a-line=c
        ocluster-worker --name=7 --there --loud --loud --one-a-line=a,b --one-a-line=c -- x --y
        ocluster-worker --name=-w --loud --one-a-line=a --one-a-line=b c
        ocluster-worker --name=7 --here --loud --loud --one-a-line=a,b --one-a-line=c
        ocluster-worker --name=7 --here --loud --one-a-line=a,b --one-a-line=c sub --deep=1
        ocluster-worker --name=7 --here --loud --loud --one-a-line=a,b --one-a-line=c sub --deep=9
        ocluster-worker --name=7 --here --loud --loud --one-a-line=a,b --one-a-line=c sub --deep=1 inner --deep=3
        ocluster-worker --name=7 --here --loud --loud --one-a-line=a,b --one-a-line=c sub --deep=1 inner --deep=16"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn options_that_are_one_setting_exist() {
    let options = known::options();
    for name in precedence::ONE_SETTING.iter().copied().flatten() {
        assert!(
            options.iter().any(|option| option.key() == Some(*name)),
            "{name}"
        );
    }
}
