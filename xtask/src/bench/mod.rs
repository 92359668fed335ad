//! `cargo xtask bench`: OBuilder beside Docker's two builders, on this machine, in one run.
//!
//! What is compared takes turns, so that whatever else the machine does meets all of them. The table has medians, and
//! what they are times the first row's.

mod builders;
mod jobs;
mod table;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use rig::{
    DEMO_PACKAGES, DOCKER_PACKAGES, DockerEngine, Filesystem, LoopDisk, Setup, import_busybox,
};
use tempfile::TempDir;

use crate::project;
use builders::{Builder, DockerBuilder, OBuilder};
use jobs::Job;
use table::Table;

/// How often each is measured.
const ROUNDS: usize = 5;
/// How many steps the build with steps has.
const STEPS: usize = 20;
/// How many steps the cached build has, as in the reference's numbers.
const CACHED_STEPS: usize = 30;
/// How many files the context has, as in the reference's numbers.
const FILES: usize = 20_000;
/// How large the imported image is, in MiB.
const IMAGE_SIZE: usize = 500;

/// Runs all benchmarks, and prints a table of each.
///
/// # Errors
/// When something is missing, does not start, or fails to build.
pub(crate) fn run() -> Result<ExitCode> {
    Setup::ensure(&[DEMO_PACKAGES, DOCKER_PACKAGES].concat())?;
    let programs = project::build_release_programs()?;
    let folder = tempfile::tempdir()?;
    let engine = DockerEngine::own()?;
    import_busybox(&engine, "busybox")?;
    compare(&engine, &programs, &folder)?;
    engine.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn compare(engine: &DockerEngine, programs: &Path, folder: &TempDir) -> Result<()> {
    let btrfs = LoopDisk::new(Filesystem::Btrfs, 8 << 30)?;
    let here = folder.path().display().to_string();
    let on_btrfs = btrfs.path().display().to_string();
    let obuilders = [
        (
            "overlayfs, runc",
            format!("overlayfs:{here}/overlay"),
            "runc",
        ),
        (
            "overlayfs, builtin",
            format!("overlayfs:{here}/overlay-builtin"),
            "builtin",
        ),
        ("btrfs, runc", format!("btrfs:{on_btrfs}"), "runc"),
        ("rsync, runc", format!("rsync:{here}/rsync"), "runc"),
    ];
    let mut all: Vec<Box<dyn Builder + '_>> = Vec::new();
    for (name, store, runtime) in obuilders {
        all.push(Box::new(OBuilder::new(
            programs,
            folder.path(),
            name,
            &store,
            runtime,
        )?));
    }
    for buildkit in [false, true] {
        all.push(Box::new(DockerBuilder::new(engine, buildkit)));
    }
    steps(&all, folder)?;
    copies(&all, folder)?;
    let saved = jobs::save_image(engine, folder.path(), IMAGE_SIZE)?;
    imports(&all, &saved)
}

/// Measures steps that do nothing, and a build of which everything is cached.
fn steps(all: &[Box<dyn Builder + '_>], folder: &TempDir) -> Result<()> {
    let context = folder.path().join("empty");
    std::fs::create_dir(&context)?;
    let mut fresh = Table::new(&format!("a no-op step, of {STEPS} in a build"));
    let mut cached = Table::new(&format!("a build of {CACHED_STEPS} steps, all cached"));
    for round in 0..=ROUNDS {
        for builder in all {
            let took = time(&**builder, &Job::steps(&context, round, STEPS))?;
            fresh.add(builder.name(), round, took / STEPS as f64);
        }
        for builder in all {
            let job = Job::steps(&context, ROUNDS + 1, CACHED_STEPS);
            // In the first round it is built, which the table leaves out as it does for the others.
            cached.add(builder.name(), round, time(&**builder, &job)?);
        }
    }
    fresh.print();
    cached.print();
    Ok(())
}

/// Measures copying a large context, new and unchanged.
fn copies(all: &[Box<dyn Builder + '_>], folder: &TempDir) -> Result<()> {
    let mut fresh = Table::new(&format!("a copy of {FILES} files"));
    let mut again = Table::new("the same, unchanged");
    let context = folder.path().join("context");
    jobs::make_files(&context, FILES)?;
    for round in 0..=ROUNDS.min(3) {
        std::fs::write(context.join("round"), round.to_string())?;
        for builder in all {
            let job = Job::copy(&context);
            fresh.add(builder.name(), round, time(&**builder, &job)?);
            again.add(builder.name(), round, time(&**builder, &job)?);
        }
    }
    fresh.print();
    again.print();
    Ok(())
}

/// Measures getting an image from a file into a state in which it can be built on.
fn imports(all: &[Box<dyn Builder + '_>], saved: &Path) -> Result<()> {
    let mut table = Table::new(&format!("an image of {IMAGE_SIZE} MiB from a file"));
    for round in 0..=ROUNDS.min(3) {
        for builder in all {
            if let Some(took) = builder.import(saved, round)? {
                table.add(builder.name(), round, took);
            }
        }
    }
    table.print();
    Ok(())
}

/// Returns how long a build takes, in milliseconds.
fn time(builder: &dyn Builder, job: &Job<'_>) -> Result<f64> {
    let started = Instant::now();
    builder
        .build(job)
        .with_context(|| format!("{} does not build it", builder.name()))?;
    Ok(milliseconds(started))
}

fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}
