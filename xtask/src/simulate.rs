//! Random histories of jobs, as many as wanted; the tests live through ten thousand.

use std::process::ExitCode;

use anyhow::Result;

use crate::project;

/// Lives through them, in a release build: a million take some minutes.
///
/// # Errors
/// When Cargo cannot be started.
pub(crate) fn run(words: &[&str]) -> Result<ExitCode> {
    let mut cargo = project::cargo(&[
        "run",
        "--release",
        "-q",
        "-p",
        "jobs",
        "--example",
        "simulate",
        "--",
    ]);
    let status = cargo.args(words).status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
