//! The script that checks whether pages can be read by everybody, for the tests of pages.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rig::checked;

use crate::project::tools;

/// The package that npm fetches.
const PACKAGE: &str = "axe-core@4.14.1";
/// The digest of its script, `axe.min.js`.
const SHA256: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

/// Fetches the script, unless it is there. Nothing of the package is run, and nothing is installed.
///
/// # Errors
/// When it cannot be fetched, or is not the one that is expected.
pub(crate) fn ensure() -> Result<()> {
    let folder = tools().join("axe-core");
    let script = folder.join("axe.min.js");
    if script.exists() && checked(Command::new("sha256sum").arg(&script))?.starts_with(SHA256) {
        return Ok(());
    }
    println!("==> Fetching {PACKAGE}");
    let fetched = tempfile::tempdir()?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", PACKAGE])
        .current_dir(fetched.path());
    let archive = checked(&mut pack).with_context(|| format!("cannot fetch {PACKAGE} with npm"))?;
    let mut unpack = Command::new("tar");
    unpack
        .args(["--extract", "--file", archive.trim()])
        .args(["package/axe.min.js", "package/LICENSE"])
        .current_dir(fetched.path());
    checked(&mut unpack)?;
    let unpacked = fetched.path().join("package/axe.min.js");
    let digest = checked(Command::new("sha256sum").arg(&unpacked))?;
    ensure!(
        digest.starts_with(SHA256),
        "cannot use {PACKAGE}: its script has another digest than expected: {digest}"
    );
    fs::create_dir_all(&folder)?;
    fs::copy(&unpacked, &script)?;
    Ok(())
}
