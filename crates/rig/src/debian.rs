//! A Debian base image made on this machine, for images that install Debian packages.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::command::{find_program, output_within};
use crate::docker::Docker;
use crate::holder::Holder;
use crate::image::import;
use crate::name::Name;

/// The release that the project's images are made from.
const RELEASE: &str = "trixie";
const MIRROR: &str = "http://deb.debian.org/debian";

/// The time limit for debootstrap. It needs a minute, most of it to fetch and to unpack.
const DEBOOTSTRAP_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Makes the image `name` with debootstrap, unless the engine has one of that name already: the smallest Debian that
/// can install packages.
///
/// # Errors
/// When we are not root, debootstrap is not installed, or Debian's mirror cannot be reached.
pub fn import_debian(docker: &Docker, name: &str) -> Result<()> {
    if docker.run(&["image", "inspect", name]).is_ok() {
        return Ok(());
    }
    let program =
        find_program("debootstrap").context("cannot find debootstrap: it is not installed")?;
    let holder = Holder::start(&Name::new()?)?;
    let root = holder.folder().join("debian");
    let mut debootstrap = Command::new(program);
    debootstrap
        .args(["--variant=minbase", RELEASE])
        .arg(&root)
        .arg(MIRROR);
    let output = output_within(&mut debootstrap, DEBOOTSTRAP_LIMIT)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "cannot make a Debian image: debootstrap failed: {stdout}"
    );
    // The packages and lists that it fetched. An image that installs more fetches them again.
    for folder in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        fs::remove_dir_all(root.join(folder))?;
    }
    fs::create_dir_all(root.join("var/cache/apt/archives/partial"))?;
    fs::create_dir_all(root.join("var/lib/apt/lists/partial"))?;
    import(docker, &root, name)
}
