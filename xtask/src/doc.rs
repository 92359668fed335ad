//! `cargo xtask doc`: the documentation of all libraries, in which a warning is an error.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::project::cargo;

/// Returns the command that writes the documentation.
///
/// Programs are left out: some have the name of their library, so that both would be written to one folder.
pub(crate) fn command() -> Command {
    let mut doc = cargo(&["doc", "--workspace", "--lib", "--no-deps", "--all-features"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    doc
}

/// Writes the documentation.
///
/// # Errors
/// When cargo cannot be started.
pub(crate) fn run() -> Result<ExitCode> {
    let status = command().status().context("cannot start cargo")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
