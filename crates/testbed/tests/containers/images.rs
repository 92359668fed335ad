//! The images of the scheduler and the worker, built from the project's own Dockerfiles, once for all tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Rig, checked, import_debian, output_within};

/// The names of the base image and the builder's image.
const DEBIAN: &str = "test-debian";
pub(crate) const BUILDER: &str = "test-builder";

/// Docker's two builders, as values of DOCKER_BUILDKIT.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Builder {
    Classic,
    BuildKit,
}

/// The time limit for the build of an image, which fetches packages.
const BUILD_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The two images.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    pub(crate) scheduler: String,
    pub(crate) worker: String,
}

/// Returns the images that BuildKit makes. The first test that needs them makes them.
pub(crate) fn images(rig: &Rig) -> Result<Images> {
    static BUILT: Mutex<Option<Images>> = Mutex::new(None);
    let mut built = BUILT
        .lock()
        .ok()
        .context("cannot use the images: their build failed in another test")?;
    if let Some(images) = &*built {
        return Ok(images.clone());
    }
    import_debian(&rig.docker, DEBIAN)?;
    make_builder(rig)?;
    let images = build(rig, Builder::BuildKit)?;
    *built = Some(images.clone());
    Ok(images)
}

/// Builds both images. Nothing is compiled: they get the programs under test, from [`BUILDER`]. The classic builder's
/// worker has fewer packages, which saves the time to fetch them again.
pub(crate) fn build(rig: &Rig, builder: Builder) -> Result<Images> {
    let (tag, options) = match builder {
        Builder::Classic => ("classic", &["--build-arg", "PACKAGES=tini"][..]),
        Builder::BuildKit => ("buildkit", &[][..]),
    };
    let images = Images {
        scheduler: format!("ocluster-scheduler:{tag}"),
        worker: format!("ocluster-worker:{tag}"),
    };
    for (file, image) in [
        ("Dockerfile", &images.scheduler),
        ("Dockerfile.worker", &images.worker),
    ] {
        docker_build(rig, builder, file, &[&["--tag", image], options].concat())?;
    }
    Ok(images)
}

/// Runs `docker build` on the project, with our base images.
pub(crate) fn docker_build(rig: &Rig, builder: Builder, file: &str, args: &[&str]) -> Result<()> {
    let mut command = rig.docker.command();
    command
        .env("DOCKER_BUILDKIT", (builder as u8).to_string())
        // Its bridge is not connected to other machines.
        .args(["build", "--network=host", "--file"])
        .arg(root().join(file))
        .args(["--build-arg", &format!("BUILDER_IMAGE={BUILDER}")])
        .args(["--build-arg", &format!("RUNTIME_IMAGE={DEBIAN}")])
        .args(["--build-arg", "PREBUILT=/prebuilt"])
        .args(args)
        .arg(root());
    let output = output_within(&mut command, BUILD_LIMIT)?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{builder:?} cannot build {file}: {text}"
    );
    Ok(())
}

/// Makes an image that has the programs under test instead of a compiler.
fn make_builder(rig: &Rig) -> Result<()> {
    let context = tempfile::tempdir()?;
    fs::create_dir(context.path().join("prebuilt"))?;
    for program in [
        "ocluster-scheduler",
        "ocluster-worker",
        "ocluster-admin",
        "ocluster-client",
        "obuilder",
    ] {
        // Debug information is two thirds of their size.
        let mut strip = Command::new("strip");
        strip.arg("--strip-debug").arg("-o");
        strip.arg(context.path().join("prebuilt").join(program));
        checked(strip.arg(rig.programs().join(program)))?;
    }
    let dockerfile = format!("FROM {DEBIAN}\nCOPY prebuilt /prebuilt\n");
    fs::write(context.path().join("Dockerfile"), dockerfile)?;
    let context = context.path().display().to_string();
    rig.docker
        .run(&["build", "--quiet", "--tag", BUILDER, &context])?;
    Ok(())
}

/// Returns the folder of the project.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
