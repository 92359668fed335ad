//! Measures how long an empty step takes: with `runc` and with the built-in runtime, each with and without a seccomp
//! filter, and without a container.
//!
//! `cargo run --release -p obuilder --example sandbox -- [ROUNDS]`, as root. They take turns, so that other load of the
//! machine affects all of them.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program"
)]

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use obuilder::Sink;
use obuilder::sandbox::{
    Command, Exit, Filter, Network, OciSandbox, Runtime, Sandbox as _, SandboxOptions, builtin,
    cleanup,
};
use obuilder_spec::User;
use tokio_util::sync::CancellationToken;

struct Nowhere;

impl Sink for Nowhere {
    fn write(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    if let Some(code) = builtin::run_if_asked() {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(100), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let rootfs = dir.path().join("rootfs");
    fs::create_dir(&rootfs)?;
    rig::host_rootfs(&rootfs)?;
    let runc = rig::find_program("runc").context("there is no runc")?;
    let runc = Runtime::Program(runc);
    let own = Runtime::named("builtin".as_ref(), "".as_ref())?;
    let sandboxes = [
        ("runc", &runc, Filter::DEFAULT),
        ("runc, no filter", &runc, "none"),
        ("builtin", &own, Filter::DEFAULT),
        ("builtin, no filter", &own, "none"),
    ]
    .map(|(name, runtime, filter)| {
        Ok((name, open(dir.path(), name, runtime, filter)?, Vec::new()))
    });
    let mut sandboxes = sandboxes.into_iter().collect::<Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut by_none = Vec::new();
    for _ in 0..rounds {
        for (_, sandbox, times) in &mut sandboxes {
            times.push(runtime.block_on(step(sandbox, &rootfs))?);
        }
        by_none.push(namespaced(&rootfs)?);
    }
    let opened = Instant::now();
    cleanup(&dir.path().join("runc"))?;
    println!("medians of {rounds}, in milliseconds:");
    let opened = opened.elapsed();
    let others = [
        ("unshare, without a sandbox", by_none),
        ("looking for what is left over", vec![opened]),
    ];
    let sandboxes = sandboxes.into_iter().map(|(name, _, times)| (name, times));
    for (name, times) in sandboxes.chain(others) {
        println!("{:8.2}  {name}", median(times));
    }
    Ok(())
}

fn open(dir: &Path, name: &str, runtime: &Runtime, filter: &str) -> Result<OciSandbox> {
    let state = dir.join(name);
    fs::create_dir(&state)?;
    let options = SandboxOptions {
        filter: Filter::named(filter.as_ref())?,
        ..SandboxOptions::default()
    };
    Ok(OciSandbox::open(&state, runtime.clone(), options)?)
}

async fn step(sandbox: &OciSandbox, rootfs: &Path) -> Result<Duration> {
    let command = Command {
        argv: vec!["/bin/true".into()],
        cwd: "/".into(),
        user: User::ROOT,
        env: vec![("PATH".into(), "/bin".into())],
        network: Network::None,
        secrets: Vec::new(),
        mounts: Vec::new(),
    };
    let started = Instant::now();
    let exit = sandbox
        .run(rootfs, &command, &Nowhere, &CancellationToken::new())
        .await?;
    ensure!(exit == Exit::Status(0), "the step ended with {exit:?}");
    Ok(started.elapsed())
}

/// Runs a program in the same namespaces, with a `/proc` and nothing else.
fn namespaced(rootfs: &Path) -> Result<Duration> {
    let started = Instant::now();
    let status = std::process::Command::new("unshare")
        .args([
            "--pid",
            "--fork",
            "--ipc",
            "--uts",
            "--net",
            "--mount-proc",
            "--root",
        ])
        .arg(rootfs)
        .arg("/bin/true")
        .status()?;
    ensure!(status.success(), "unshare failed");
    Ok(started.elapsed())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    middle.as_secs_f64() * 1000.0
}
