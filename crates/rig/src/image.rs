//! A base image made on this machine, so that no build needs a public registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::command::{checked, find_program};
use crate::docker::Docker;
use crate::engine::DockerEngine;
use crate::holder::Name;

/// The folders without which programs in a container are surprised.
const FOLDERS: [&str; 5] = ["bin", "etc", "tmp", "root", "var"];

/// An image that is in the engine for as long as the engine is ours, or held.
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

/// Makes the image `name` from this machine's static busybox, in an engine of our own.
///
/// # Errors
/// When there is no static busybox, or the engine refuses.
pub fn import_busybox(engine: &DockerEngine, name: &str) -> Result<BaseImage> {
    ensure!(
        engine.is_own(),
        "the engine is not ours, and may have another {name}"
    );
    make_busybox(engine, name)
}

/// Makes an image from this machine's static busybox, under a name that nothing else has. It is removed with
/// `engine`, and so is what has been built from it.
///
/// # Errors
/// When there is no static busybox, or the engine refuses.
pub fn unique_busybox(engine: &DockerEngine) -> Result<BaseImage> {
    let name = format!("{}-busybox", Name::new()?);
    if !engine.is_own() {
        let docker = engine.program().display().to_string();
        let undo = |args: &[&str]| {
            let at = [docker.as_str(), "--host", engine.host()];
            engine.holder().undo(&[&at, args].concat())
        };
        // The last one told is the first one run.
        undo(&["image", "rm", "--force", &name])?;
        let built = format!("label={}", label_of(&name));
        undo(&["image", "prune", "--force", "--filter", &built])?;
    }
    make_busybox(engine, &name)
}

/// Returns the label that the image `name` has, and so whatever is built from it.
fn label_of(name: &str) -> String {
    format!("ocluster-base={name}")
}

fn make_busybox(engine: &DockerEngine, name: &str) -> Result<BaseImage> {
    let image = BaseImage {
        name: name.to_owned(),
    };
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
    let label = format!("LABEL {}", label_of(name));
    let import = [
        "import",
        "--change",
        "CMD [\"sh\"]",
        "--change",
        &label,
        "-",
        name,
    ];
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
