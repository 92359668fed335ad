//! Helm, and the schemas of Kubernetes, for the test of the chart.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use rig::checked;

use crate::project::{root, tools};

/// What pip installs, with the digest of each file.
const REQUIREMENTS: &str = "xtask/src/kubernetes.txt";

/// Fetches the programs, unless they are there. Nothing is installed outside of the project.
///
/// # Errors
/// When they cannot be fetched, or one is not the one that is expected.
pub(crate) fn ensure() -> Result<()> {
    let requirements = root().join(REQUIREMENTS);
    let wanted = fs::read(&requirements)?;
    let folder = tools().join("kubernetes");
    let fetched = folder.join("requirements.txt");
    if fs::read(&fetched).is_ok_and(|fetched| fetched == wanted) {
        return Ok(());
    }
    println!("==> Fetching Helm and the schemas of Kubernetes");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut install = Command::new("python3");
    install
        .args(["-m", "pip", "install", "--quiet", "--no-compile"])
        .args(["--require-hashes", "--root-user-action=ignore"])
        .arg("--disable-pip-version-check")
        .arg("--requirement")
        .arg(&requirements)
        .arg("--target")
        .arg(&folder);
    checked(&mut install).context("cannot fetch Helm with pip")?;
    // Only what is whole has it.
    fs::copy(requirements, fetched)?;
    Ok(())
}
