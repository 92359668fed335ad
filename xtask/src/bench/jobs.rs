//! What is built in benchmarks: the same for each builder, in its own words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use rig::{DockerEngine, busybox_rootfs, checked};

/// A build, as a spec and as a Dockerfile.
pub(super) struct Job<'a> {
    pub(super) spec: String,
    pub(super) dockerfile: String,
    pub(super) context: &'a Path,
}

impl<'a> Job<'a> {
    /// A build with steps that do nothing. Those of two rounds have nothing in common but the base.
    pub(super) fn steps(context: &'a Path, round: usize, steps: usize) -> Self {
        let mut spec = format!("((from busybox) (shell /bin/sh -c) (env ROUND {round})");
        let mut dockerfile = format!("FROM busybox\nENV ROUND={round}\n");
        for step in 0..steps {
            spec += &format!("\n (run (shell \"true {step}\"))");
            dockerfile += &format!("RUN true {step}\n");
        }
        spec += ")\n";
        Self {
            spec,
            dockerfile,
            context,
        }
    }

    /// A copy of the whole context.
    pub(super) fn copy(context: &'a Path) -> Self {
        Self {
            spec: "((from busybox) (copy (src .) (dst /src/)))\n".to_owned(),
            dockerfile: "FROM busybox\nCOPY . /src/\n".to_owned(),
            context,
        }
    }
}

/// Makes a directory with small files, as of a source tree.
pub(super) fn make_files(folder: &Path, files: usize) -> Result<()> {
    const IN_EACH: usize = 100;
    for number in 0..files {
        let folder = folder.join(format!("{:03}", number / IN_EACH));
        if number % IN_EACH == 0 {
            fs::create_dir_all(&folder)?;
        }
        let text = format!("file {number}\n").repeat(number % 300);
        fs::write(folder.join(format!("file-{number}.c")), text)?;
    }
    Ok(())
}

/// The name of the large image, wherever it is loaded.
pub(super) const LARGE: &str = "large:latest";

/// Writes what `docker save` makes of an image with busybox and some large and small files, which together have `size`
/// MiB. Returns the file.
pub(super) fn save_image(engine: &DockerEngine, folder: &Path, size: usize) -> Result<PathBuf> {
    const SMALL_FILES: usize = 5_000;
    let rootfs = folder.join("image");
    busybox_rootfs(&rootfs)?;
    make_files(&rootfs.join("src"), SMALL_FILES)?;
    for part in 0..size / 50 {
        let file = format!("of={}", rootfs.join(format!("part-{part}")).display());
        checked(Command::new("dd").args(["if=/dev/urandom", "bs=1M", "count=50", &file]))?;
    }
    let archive = |name: &str| folder.join(name).display().to_string();
    let (files, saved) = (archive("rootfs.tar"), archive("image.tar"));
    let root = rootfs.display().to_string();
    checked(Command::new("tar").args(["--numeric-owner", "-C", &root, "-cf", &files, "."]))?;
    fs::remove_dir_all(rootfs)?;
    engine.run(&["import", &files, LARGE])?;
    engine.run(&["save", "-o", &saved, LARGE])?;
    engine.run(&["image", "rm", LARGE])?;
    fs::remove_file(files)?;
    Ok(saved.into())
}
