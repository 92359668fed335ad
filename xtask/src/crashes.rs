//! Rounds in which real programs are killed, as many as wanted; the tests make two hundred.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::project;

/// Makes them, in a debug build: only there do the programs kill themselves at named points.
///
/// # Errors
/// When Cargo cannot be started, or the words are no options.
pub(crate) fn run(words: &[&str]) -> Result<ExitCode> {
    let test = [
        "nothing_is_lost_whatever_is_killed",
        "--exact",
        "--nocapture",
    ];
    let cargo = ["test", "--package", "ocluster", "--test", "crashes", "--"];
    let mut command = project::cargo(&[&cargo[..], &test].concat());
    for option in words.chunks(2) {
        match *option {
            ["--rounds", rounds] => command.env("CRASH_ROUNDS", rounds),
            ["--seed", seed] => command.env("CRASH_SEED", seed),
            _ => bail!(
                "unknown option {:?}; use --rounds N and --seed S",
                option.join(" ")
            ),
        };
    }
    Ok(match command.status()?.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
