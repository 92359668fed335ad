//! A Debian base image made on this machine, for images that install Debian's packages.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::command::{find_program, output_within};
use crate::docker::Docker;
use crate::holder::{Holder, Name};
use crate::image::import;

/// The release that the project's images are made from.
const RELEASE: &str = "trixie";
const MIRROR: &str = "http://deb.debian.org/debian";

/// It takes a minute, most of it to fetch and to unpack.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Makes the image `name` with debootstrap, unless the engine has one of that name already: the smallest Debian that
/// can install packages.
///
/// # Errors
/// When we are not root, debootstrap is not installed, or Debian's mirror cannot be reached.
pub fn import_debian(docker: &Docker, name: &str) -> Result<()> {
    if docker.run(&["image", "inspect", name]).is_ok() {
        return Ok(());
    }
    let program = find_program("debootstrap").context("debootstrap is not installed")?;
    let holder = Holder::start(&Name::new()?)?;
    let root = holder.folder().join("debian");
    let mut debootstrap = Command::new(program);
    debootstrap
        .args(["--variant=minbase", RELEASE])
        .arg(&root)
        .arg(MIRROR);
    let output = output_within(&mut debootstrap, LIMIT)?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "debootstrap failed: {said}");
    // What it fetched; whoever installs more fetches that anew.
    for folder in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        fs::remove_dir_all(root.join(folder))?;
    }
    fs::create_dir_all(root.join("var/cache/apt/archives/partial"))?;
    fs::create_dir_all(root.join("var/lib/apt/lists/partial"))?;
    import(docker, &root, name)
}
