//! Measures how long an image of 500 MB takes to become a root filesystem, beside a Docker engine on the same disk.
//!
//! `cargo run --release -p oci --example image_speed`, as root: it starts an engine and a registry of its own,
//! fills an image with files from this machine's `/usr`, and prints both times and their ratio for each way.
//! Nothing is left behind.

#![expect(clippy::print_stdout, reason = "a program")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use oci::export::{Export, write_image};
use oci::fetch::{BaseImages, Settings};
use oci::{Import, Platform, RunConfig};
use rig::{DockerEngine, Registry};
use tokio_util::sync::CancellationToken;

/// How much is in the image.
const SIZE: u64 = 500_000_000;

fn main() -> Result<()> {
    let folder = tempfile::tempdir_in(".")?;
    let folder = folder.path();
    let tree = folder.join("tree");
    let size = copy_files(Path::new("/usr"), &tree, SIZE)?;
    println!("image of {} MB", size / 1_000_000);
    let plain = folder.join("image.tar");
    let mut file = std::fs::File::create(&plain)?;
    let export = Export {
        rootfs: &tree,
        config: &RunConfig::default(),
        name: Some("speed:v1"),
        platform: &Platform::here(),
        created_by: "image_speed",
    };
    let start = Instant::now();
    write_image(&export, &mut file)?;
    println!("export: {}", shown(start.elapsed()));
    let compressed = folder.join("image.tar.gz");
    let mut gzip = flate2::write::GzEncoder::new(
        std::fs::File::create(&compressed)?,
        flate2::Compression::fast(),
    );
    std::io::copy(&mut std::fs::File::open(&plain)?, &mut gzip)?;
    gzip.finish()?.flush()?;

    let engine = DockerEngine::own()?;
    for round in 1..=2 {
        for (name, archive) in [("archive", &plain), ("archive, gzip", &compressed)] {
            let theirs = load(&engine, archive)?;
            let ours = import_and_fetch(folder, archive)?;
            compare(&format!("{name}, round {round}"), ours, theirs);
        }
    }
    let registry = Registry::start()?;
    engine.reach(engine.holder(), registry.access().port()?)?;
    let image = push(&registry, &plain)?;
    for round in 1..=2 {
        let theirs = pull(&engine, &registry, &image)?;
        let ours = fetch(folder, &registry, &image)?;
        compare(&format!("registry, round {round}"), ours, theirs);
    }
    engine.finish()
}

fn compare(what: &str, ours: Duration, theirs: Duration) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "{what}: ours {}, docker {}, ratio {ratio:.2}",
        shown(ours),
        shown(theirs)
    );
}

fn shown(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Copies files, in the order of their names, until there are enough.
fn copy_files(from: &Path, to: &Path, enough: u64) -> Result<u64> {
    let mut waiting = vec![from.to_owned()];
    let mut size = 0;
    while let Some(directory) = waiting.pop() {
        let entries = std::fs::read_dir(&directory)?.map(|entry| entry.map(|entry| entry.path()));
        let mut entries = entries.collect::<std::io::Result<Vec<PathBuf>>>()?;
        entries.sort();
        let target = to.join(directory.strip_prefix("/")?);
        std::fs::create_dir_all(&target)?;
        for path in entries {
            let data = path.symlink_metadata()?;
            if data.is_dir() {
                waiting.push(path);
            } else if data.is_file() && size < enough {
                size += std::fs::copy(&path, target.join(path.file_name().context("no name")?))?;
            }
        }
        if size >= enough {
            break;
        }
    }
    Ok(size)
}

fn load(engine: &DockerEngine, archive: &Path) -> Result<Duration> {
    let start = Instant::now();
    let loaded = engine
        .command()
        .args(["load", "--quiet", "--input"])
        .arg(archive)
        .output()?;
    let time = start.elapsed();
    ensure!(
        loaded.status.success(),
        "{}",
        String::from_utf8_lossy(&loaded.stderr)
    );
    engine.run(&["image", "rm", "speed:v1"])?;
    Ok(time)
}

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::from_vars(&folder.join("state"), []);
    settings.registry_config = Some(folder.join("config.json"));
    settings.docker = None;
    settings
}

/// Both what an import does once, and what the first build does.
fn import_and_fetch(folder: &Path, archive: &Path) -> Result<Duration> {
    let images = BaseImages::new(settings(folder));
    let start = Instant::now();
    images.library().import(&Import {
        name: "speed",
        path: archive,
        platform: &Platform::here(),
        when: String::new(),
    })?;
    let imported = start.elapsed();
    unpack(folder, &images, "speed")?;
    let time = start.elapsed();
    println!(
        "  import {}, unpack {}",
        shown(imported),
        shown(time.saturating_sub(imported))
    );
    images.library().remove("speed")?;
    Ok(time)
}

fn fetch(folder: &Path, registry: &Registry, image: &str) -> Result<Duration> {
    std::fs::write(
        folder.join("config.json"),
        registry.access().docker_config(),
    )?;
    let images = BaseImages::new(settings(folder));
    let start = Instant::now();
    unpack(folder, &images, image)?;
    Ok(start.elapsed())
}

fn unpack(folder: &Path, images: &BaseImages, name: &str) -> Result<()> {
    let rootfs = folder.join("rootfs");
    if rootfs.exists() {
        std::fs::rename(&rootfs, tempfile::tempdir_in(folder)?.keep().join("old"))?;
    }
    std::fs::create_dir(&rootfs)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(images.fetch(name, &rootfs, &|_| Ok(()), &CancellationToken::new()))?;
    Ok(())
}

fn push(registry: &Registry, archive: &Path) -> Result<String> {
    let access = registry.access();
    let image = access.image("speed:v1");
    let pushed = std::process::Command::new("skopeo")
        .args([
            "--insecure-policy",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
        ])
        .arg(format!("--dest-creds={}:{}", access.user, access.password))
        .arg(format!("oci-archive:{}", archive.display()))
        .arg(format!("docker://{image}"))
        .output()?;
    ensure!(
        pushed.status.success(),
        "{}",
        String::from_utf8_lossy(&pushed.stderr)
    );
    Ok(image)
}

fn pull(engine: &DockerEngine, registry: &Registry, image: &str) -> Result<Duration> {
    let access = registry.access();
    engine.run(&[
        "login",
        "--username",
        &access.user,
        "--password",
        &access.password,
        &access.address,
    ])?;
    let start = Instant::now();
    let pulled = engine.command().args(["pull", "--quiet", image]).output()?;
    let time = start.elapsed();
    ensure!(
        pulled.status.success(),
        "{}",
        String::from_utf8_lossy(&pulled.stderr)
    );
    engine.run(&["image", "rm", image])?;
    Ok(time)
}
