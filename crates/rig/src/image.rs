//! A base image made on this machine, so that no build needs a public registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::command::{checked, find_program};
use crate::docker::Docker;
use crate::engine::DockerEngine;

/// The folders without which programs in a container are surprised.
const FOLDERS: [&str; 5] = ["bin", "etc", "tmp", "root", "var"];

/// An image that is in the engine for as long as this lives, unless it was there before.
#[derive(Clone, Debug)]
pub struct BaseImage {
    name: String,
}

impl BaseImage {
    /// Returns what to write after `FROM`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Makes the image `name` from this machine's static busybox, unless the engine has one of that name already.
///
/// From an engine that is not ours it is removed with `engine`.
///
/// # Errors
/// When there is no static busybox, or the engine refuses.
pub fn import_busybox(engine: &DockerEngine, name: &str) -> Result<BaseImage> {
    let image = BaseImage {
        name: name.to_owned(),
    };
    if engine
        .run(&["image", "inspect", "--format", "{{.Id}}", name])
        .is_ok()
    {
        return Ok(image);
    }
    if !engine.is_own() {
        let docker = engine
            .command()
            .get_program()
            .to_string_lossy()
            .into_owned();
        engine
            .holder()
            .undo(&[&docker, "--host", engine.host(), "image", "rm", name])?;
    }
    let root = engine.holder().folder().join("busybox-root");
    busybox_rootfs(&root)?;
    import(engine, &root, name)?;
    fs::remove_dir_all(&root)?;
    Ok(image)
}

/// Makes a root filesystem of this machine's static busybox in the directory `root`, which is made if need be.
///
/// # Errors
/// When there is no static busybox, or the directory cannot be written.
pub fn busybox_rootfs(root: &Path) -> Result<()> {
    let busybox = find_program("busybox").context("busybox is not installed (busybox-static)")?;
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(&busybox, root.join("bin/busybox"))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\n")?;
    for path in checked(Command::new(busybox).arg("--list-full"))?.lines() {
        let link = root.join(path.trim_start_matches('/'));
        if let Some(folder) = link.parent() {
            fs::create_dir_all(folder)?;
        }
        if !link.exists() {
            symlink("/bin/busybox", &link)?;
        }
    }
    // A dynamic busybox would start here and fail in the container, with a message that explains nothing.
    let static_one = fs::read(root.join("bin/busybox"))?;
    ensure!(
        !has_interpreter(&static_one),
        "busybox is not static: install busybox-static"
    );
    Ok(())
}

/// Returns whether a program asks for the dynamic loader, by the name that it then has to contain.
fn has_interpreter(program: &[u8]) -> bool {
    const LOADER: &[u8] = b"/lib64/ld-linux";
    let header = program.get(..4096).unwrap_or(program);
    header.windows(LOADER.len()).any(|window| window == LOADER)
}

/// Makes the image `name` of a root filesystem.
pub(crate) fn import(docker: &Docker, root: &Path, name: &str) -> Result<()> {
    let mut tar = Command::new("tar")
        .args(["--numeric-owner", "--owner=0", "--group=0", "-C"])
        .arg(root)
        .args(["-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start tar")?;
    let files = tar.stdout.take().context("no pipe from tar")?;
    let import = ["import", "--change", "CMD [\"sh\"]", "-", name];
    let imported = docker.command().args(import).stdin(files).output()?;
    ensure!(tar.wait()?.success(), "tar failed");
    let why = String::from_utf8_lossy(&imported.stderr);
    ensure!(
        imported.status.success(),
        "cannot import {name}: {}",
        why.trim()
    );
    Ok(())
}
