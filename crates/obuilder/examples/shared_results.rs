//! Measures a build of 30 steps on a worker that has none of them: fetched from the shared results, run, and both with
//! BuildKit and a registry cache.
//!
//! `cargo run --release -p obuilder --example shared_results`, as root: it starts an engine and a registry of its
//! own, and prints the times of two rounds. Nothing is left behind.

#![expect(clippy::print_stdout, reason = "a program")]

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bstr::BStr;
use futures::future::LocalBoxFuture;
use obuilder::Setup;
use obuilder::builder::{BuildLog, Builder, Context};
use obuilder::sandbox::SandboxOptions;
use obuilder::shared::{SharedMode, SharedOptions, SigningKey};
use obuilder::store::{StorePlace, StoreSpec};
use obuilder_spec::Spec;
use oci::Library;
use oci::fetch::RepositoryPlace;
use rig::{DockerEngine, Layer, OciImage, OciLayout, Registry};

const STEPS: usize = 30;

/// A step that works for about half a second, and makes a file of 1 MB.
const STEP: &str =
    "head -c 60000000 /dev/urandom | sha256sum > /sum; head -c 1000000 /dev/urandom > /out";

/// Hears nothing.
struct Silent;

impl BuildLog for Silent {
    fn heading(&self, _: &BStr) -> io::Result<()> {
        Ok(())
    }
    fn note(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn output<'a>(&'a self, _: &'a [u8]) -> LocalBoxFuture<'a, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir_in(".")?;
    let folder = folder.path().canonicalize()?;
    let registry = Registry::start()?;
    std::fs::write(
        folder.join("config.json"),
        registry.access().docker_config(),
    )?;
    let engine = DockerEngine::own()?;
    engine.reach(engine.holder(), registry.access().port()?)?;
    let access = registry.access();
    engine.run(&[
        "login",
        "-u",
        &access.user,
        "-p",
        &access.password,
        &access.address,
    ])?;
    let layout = folder.join("layout");
    let base = OciLayout::write(&layout, "v1", &[OciImage::new(vec![Layer::busybox()?])])?;
    let base = base.push(access, "base:v1")?;

    for round in 1..=2 {
        let first = open(&folder, &registry, &format!("first-{round}"), &[])?;
        let run = build(&first, &base, round)?;
        let key = SigningKey::open(&key(&first))?.public().to_string();
        let shared = first.shared_stats().context("nothing is shared")?;
        ensure!(shared.shared == STEPS as u64, "{shared:?}");
        drop(first);
        let second = open(&folder, &registry, &format!("second-{round}"), &[key])?;
        let fetched = build(&second, &base, round)?;
        let stats = second.shared_stats().context("nothing is shared")?;
        ensure!(stats.hits == STEPS as u64, "{stats:?}");
        println!(
            "round {round}: OBuilder: run {}, fetched {}",
            shown(run),
            shown(fetched)
        );
        let (run, fetched) = buildkit(&engine, &folder, &registry, &base, round)?;
        println!(
            "round {round}: BuildKit: run {}, fetched {}",
            shown(run),
            shown(fetched)
        );
    }
    engine.finish()
}

fn open(folder: &Path, registry: &Registry, name: &str, accepted: &[String]) -> Result<Builder> {
    let list = folder.join(format!("{name}.keys"));
    std::fs::write(&list, accepted.join("\n"))?;
    let place: StorePlace = StorePlace::parse(&OsString::from(format!(
        "overlayfs:{}/{name}",
        folder.display()
    )))?;
    let setup = Setup {
        store: StoreSpec::new(Some(place), None)?,
        runtime: "runc".into(),
        sandbox: SandboxOptions::default(),
        registries: "127.0.0.0/8".parse()?,
        env: vec![
            ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("DOCKER_HOST".into(), "unix:///nonexistent".into()),
            ("DOCKER_CONFIG".into(), folder.into()),
        ],
        shared: Some(SharedOptions {
            place: RepositoryPlace::parse(&format!("oci://{}", registry.access().image("results")))
                .map_err(anyhow::Error::msg)?,
            mode: SharedMode::ReadWrite,
            accepted: Some(list),
            worker: name.to_owned(),
            max_age: None,
            with_secrets: false,
        }),
    };
    let builder = setup.open()?;
    // No image was imported: it comes from the registry.
    ensure!(Library::new(builder.store().state_dir()).list()?.is_empty());
    Ok(builder)
}

fn key(builder: &Builder) -> PathBuf {
    SharedOptions::key_file(builder.store().state_dir())
}

/// Builds all steps, and returns how long it took until the build ended. Uploads may go on after that.
fn build(builder: &Builder, base: &str, round: usize) -> Result<Duration> {
    let mut spec = format!("((from {base}) (shell /bin/sh -c)");
    for step in 0..STEPS {
        write!(spec, "(run (shell \"echo {round} {step}; {STEP}-{step}\"))")?;
    }
    spec.push(')');
    let spec = Spec::parse(spec.as_bytes(), "spec")?;
    block_on(async {
        let context = Context::new("/".into(), Rc::new(Silent));
        let start = Instant::now();
        builder.build(&context, &spec).await?;
        let took = start.elapsed();
        builder.all_shared().await;
        Ok(took)
    })
}

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// Builds the same with BuildKit: once with nothing, and once with the cache of that in the registry.
fn buildkit(
    engine: &DockerEngine,
    folder: &Path,
    registry: &Registry,
    base: &str,
    round: usize,
) -> Result<(Duration, Duration)> {
    let context = folder.join("context");
    std::fs::create_dir_all(&context)?;
    let mut dockerfile = format!("FROM {base}\n");
    for step in 0..STEPS {
        writeln!(dockerfile, "RUN echo {round} {step}; {STEP}-{step}")?;
    }
    std::fs::write(context.join("Dockerfile"), dockerfile)?;
    let image = registry.access().image(&format!("buildkit:{round}"));
    let build = |options: &[&str]| -> Result<Duration> {
        let mut build = engine.command();
        build.env("DOCKER_BUILDKIT", "1").args(["build", "-q"]);
        build.args(options).arg(&context);
        let start = Instant::now();
        succeed(&mut build)?;
        Ok(start.elapsed())
    };
    let run = build(&["-t", &image, "--build-arg", "BUILDKIT_INLINE_CACHE=1"])?;
    succeed(engine.command().args(["push", "-q", &image]))?;
    let forget = || -> Result<()> {
        succeed(engine.command().args(["image", "prune", "-af"]))?;
        succeed(engine.command().args(["builder", "prune", "-af"]))
    };
    forget()?;
    let fetched = build(&["-t", "again", "--cache-from", &image])?;
    forget()?;
    Ok((run, fetched))
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let printed = [&*output.stdout, &*output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    ensure!(output.status.success(), "{command:?} failed: {printed}");
    Ok(())
}

fn shown(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
