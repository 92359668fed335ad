//! Where the project is, and running cargo on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Returns the folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Returns a cargo command on the workspace, with the cargo that runs us.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(args);
    command
}

/// Builds every program of the workspace, and returns the folder they are in.
///
/// # Errors
/// When one does not build.
pub(crate) fn build_programs() -> Result<PathBuf> {
    println!("==> Building the programs");
    let status = cargo(&["build", "--workspace", "--bins"])
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the programs do not build");
    }
    // We are one of them.
    let here = std::env::current_exe()?;
    Ok(here.parent().context("no folder of programs")?.to_owned())
}

/// Builds the programs of users for speed, and returns the folder they are in.
///
/// # Errors
/// When one does not build.
pub(crate) fn build_release_programs() -> Result<PathBuf> {
    println!("==> Building the programs, for speed");
    let status = cargo(&["build", "--release", "--package", "ocluster", "--bins"])
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the programs do not build");
    }
    Ok(target().join("release"))
}

/// Returns the folder of all that is built.
pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root().join("target"))
}

/// Returns the folder of the tools that are fetched for tests.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}
