//! A base image made on this machine, so that no build needs a public registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::command::{checked, find_program};
use crate::docker::Docker;
use crate::engine::DockerEngine;
use crate::name::Name;

/// The folders that programs in a container expect.
const FOLDERS: [&str; 5] = ["bin", "etc", "tmp", "root", "var"];

/// An image that stays in the engine until the engine ends or its holder does.
#[derive(Clone, Debug)]
pub struct BaseImage {
    name: String,
}

impl BaseImage {
    /// Returns its name, for `FROM`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Makes the image `name` from this machine's static busybox, in an engine that was started here.
///
/// # Errors
/// When there is no static busybox, or the engine refuses.
pub fn import_busybox(engine: &DockerEngine, name: &str) -> Result<BaseImage> {
    ensure!(
        engine.is_own(),
        "cannot make image {name:?}: the engine was not started here, and may have another one"
    );
    make_busybox(engine, name)
}

/// Makes an image from this machine's static busybox, with a unique name. It is removed with `engine`, and so are
/// images built from it.
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
        // The last one requested is run first.
        undo(&["image", "rm", "--force", &name])?;
        let built = format!("label={}", label_of(&name));
        undo(&["image", "prune", "--force", "--filter", &built])?;
    }
    make_busybox(engine, &name)
}

/// Returns the label of the image `name`, which images built from it inherit.
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

/// Makes a root filesystem of this machine's static busybox in the directory `root`, which may not exist yet.
///
/// # Errors
/// When there is no static busybox, or the directory cannot be written.
pub fn busybox_rootfs(root: &Path) -> Result<()> {
    let busybox = find_program("busybox").context("cannot find busybox: install busybox-static")?;
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
    // A dynamic busybox runs here and fails in a container, without a helpful message.
    let static_one = fs::read(root.join("bin/busybox"))?;
    ensure!(
        !has_interpreter(&static_one),
        "cannot use busybox: it is not static; install busybox-static"
    );
    Ok(())
}

/// Returns whether a program needs the dynamic loader, whose name it then contains.
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
    let files = tar
        .stdout
        .take()
        .context("cannot read from tar: it has no pipe")?;
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
    ensure!(tar.wait()?.success(), "cannot import {name}: tar failed");
    let why = String::from_utf8_lossy(&imported.stderr);
    ensure!(
        imported.status.success(),
        "cannot import {name}: {}",
        why.trim()
    );
    Ok(())
}
