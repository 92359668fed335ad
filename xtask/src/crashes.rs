//! Rounds in which real programs are killed or cut off, as many as wanted.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::project;

/// Kills programs of a cluster with one scheduler. The tests make two hundred rounds.
///
/// # Errors
/// When Cargo cannot be started, or the words are no options.
pub(crate) fn run(words: &[&str]) -> Result<ExitCode> {
    let test = ["nothing_is_lost_whatever_is_killed"];
    make(&test, "CRASH", words)
}

/// Has the leader of several schedulers fail. The tests make one round.
///
/// # Errors
/// As for [`run`].
pub(crate) fn run_failovers(words: &[&str]) -> Result<ExitCode> {
    let test = ["failover::failovers_lose_nothing"];
    make(&test, "FAILOVER", words)
}

/// Makes the rounds of a test, in a debug build: only there do programs kill themselves at named points. The test finds
/// its options in variables with this prefix.
fn make(test: &[&str], prefix: &str, words: &[&str]) -> Result<ExitCode> {
    // It holds what rounds must not leave behind.
    if !project::cargo(&["build", "--package", "rig"])
        .status()?
        .success()
    {
        bail!("cannot build rig");
    }
    let cargo = ["test", "--package", "ocluster", "--test", "crashes", "--"];
    let mut command = project::cargo(&[&cargo[..], test, &["--exact", "--nocapture"]].concat());
    for option in words.chunks(2) {
        match *option {
            ["--rounds", rounds] => command.env(format!("{prefix}_ROUNDS"), rounds),
            ["--seed", seed] => command.env(format!("{prefix}_SEED"), seed),
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
