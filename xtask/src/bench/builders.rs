//! The builders that are compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rig::{DockerEngine, busybox_rootfs};

use super::jobs::{Job, LARGE};
use super::milliseconds;

/// One that builds.
pub(super) trait Builder {
    fn name(&self) -> &str;

    /// Builds a job, from the start of the program to its end.
    fn build(&self, job: &Job<'_>) -> Result<()>;

    /// Brings an image from a file to where it can be built on. Returns how long that took, in milliseconds, if this
    /// builder takes part in that comparison.
    fn import(&self, archive: &Path, round: usize) -> Result<Option<f64>>;
}

/// Our program, with a store and a runtime.
pub(super) struct OBuilder {
    program: PathBuf,
    folder: PathBuf,
    name: String,
    options: Vec<String>,
}

impl OBuilder {
    pub(super) fn new(
        programs: &Path,
        folder: &Path,
        name: &str,
        store: &str,
        runtime: &str,
    ) -> Result<Self> {
        let mut options = vec![format!("--store={store}"), format!("--runtime={runtime}")];
        if store.starts_with("rsync:") {
            options.push("--rsync-mode=copy".to_owned());
        }
        let builder = Self {
            program: programs.join("obuilder"),
            folder: folder.to_owned(),
            name: name.to_owned(),
            options,
        };
        let rootfs = folder.join("busybox");
        if !rootfs.exists() {
            busybox_rootfs(&rootfs)?;
        }
        builder.run(&["image", "import", "busybox", &rootfs.display().to_string()])?;
        Ok(builder)
    }

    fn run(&self, args: &[&str]) -> Result<()> {
        let [command, args @ ..] = args else {
            return Ok(());
        };
        let mut obuilder = Command::new(&self.program);
        obuilder.arg(command);
        succeed(obuilder.args(args).args(&self.options))
    }
}

impl Builder for OBuilder {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(&self, job: &Job<'_>) -> Result<()> {
        let spec = self.folder.join("bench.spec");
        fs::write(&spec, &job.spec)?;
        let context = job.context.display().to_string();
        self.run(&["build", "-f", &spec.display().to_string(), &context])
    }

    fn import(&self, archive: &Path, round: usize) -> Result<Option<f64>> {
        // The runtime has no part in it.
        if self
            .options
            .iter()
            .any(|option| option == "--runtime=builtin")
        {
            return Ok(None);
        }
        let name = format!("imported-{round}");
        let started = Instant::now();
        self.run(&["image", "import", &name, &archive.display().to_string()])?;
        let empty = self.folder.join("empty");
        let job = Job {
            spec: format!("((from {name}))\n"),
            dockerfile: String::new(),
            context: &empty,
        };
        self.build(&job)?;
        let took = milliseconds(started);
        self.run(&["image", "rm", &name])?;
        Ok(Some(took))
    }
}

/// One of Docker's.
pub(super) struct DockerBuilder<'a> {
    engine: &'a DockerEngine,
    buildkit: bool,
}

impl<'a> DockerBuilder<'a> {
    pub(super) fn new(engine: &'a DockerEngine, buildkit: bool) -> Self {
        Self { engine, buildkit }
    }
}

impl Builder for DockerBuilder<'_> {
    fn name(&self) -> &str {
        if self.buildkit {
            "Docker, BuildKit"
        } else {
            "Docker, classic builder"
        }
    }

    fn build(&self, job: &Job<'_>) -> Result<()> {
        let dockerfile = job.context.with_extension("Dockerfile");
        fs::write(&dockerfile, &job.dockerfile)?;
        let mut build = self.engine.command();
        build
            .env("DOCKER_BUILDKIT", if self.buildkit { "1" } else { "0" })
            .args(["build", "-q", "-f"])
            .arg(&dockerfile)
            .arg(job.context);
        succeed(&mut build)
    }

    fn import(&self, archive: &Path, _round: usize) -> Result<Option<f64>> {
        if self.buildkit {
            return Ok(None);
        }
        let started = Instant::now();
        succeed(self.engine.command().args(["load", "-i"]).arg(archive))?;
        let took = milliseconds(started);
        succeed(self.engine.command().args(["image", "rm", LARGE]))?;
        Ok(Some(took))
    }
}

/// Runs a command. If it fails, the error has its output.
fn succeed(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let printed = [&*output.stdout, &*output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    ensure!(output.status.success(), "{command:?} failed: {printed}");
    Ok(())
}
