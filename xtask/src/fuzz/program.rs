//! The fuzzer as a program: how it is built and called.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::{folder, found};
use crate::project;

/// What makes the stable compiler tell the fuzzer which branches an input takes, as `cargo fuzz` has it.
const INSTRUMENTATION: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// The most memory that an input may take, in MiB: everything together takes a fraction.
const MEMORY: u32 = 1024;

/// How long an input may take, in seconds. Those that have to do with others wait for them up to 20 s.
const SECONDS: u32 = 60;

/// The longest input, in bytes. Most targets want less.
const LONGEST: u32 = 4096;

/// How long a finding is made smaller, in seconds.
const SHRINKING: u32 = 60;

/// The fuzzer with all targets in it.
pub(super) struct Program {
    path: PathBuf,
    /// What is learnt, for each target, and what is found.
    state: PathBuf,
}

impl Program {
    /// Builds it. The first time takes as long as a whole build does.
    pub(super) fn build() -> Result<Self> {
        println!("==> Building the fuzzer");
        let host = host()?;
        let state = project::target().join("fuzz");
        let manifest = folder().join("libfuzzer/Cargo.toml");
        // With a named target, what is run at build time stays as it is.
        let mut build = project::cargo(&["build", "--release", "--target", &host]);
        build
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(&state)
            .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\u{1f}"));
        if !build.status().context("cannot start cargo")?.success() {
            bail!("the fuzzer does not build");
        }
        let path = state.join(host).join("release/fuzz-libfuzzer");
        Ok(Self { path, state })
    }

    /// Tries a target for that long. Returns what was found, where it is kept.
    pub(super) fn fuzz(&self, target: &str, time: Duration) -> Result<Vec<PathBuf>> {
        let (corpus, findings) = (self.corpus(target)?, self.state.join("found").join(target));
        // What was found before has been looked at.
        if findings.exists() {
            fs::remove_dir_all(&findings)?;
        }
        fs::create_dir_all(&findings)?;
        let scratch = scratch()?;
        let mut fuzz = self.command(target, scratch.path());
        fuzz.arg(format!("-max_total_time={}", time.as_secs().max(1)))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .arg("-print_final_stats=1")
            .arg(corpus)
            .args(kept(target));
        let dictionary = folder().join("dictionaries").join(format!("{target}.dict"));
        if dictionary.exists() {
            fuzz.arg(format!("-dict={}", dictionary.display()));
        }
        let is_well = fuzz.status().context("cannot start the fuzzer")?.success();
        let found = found::keep(&findings, target, |input, smaller| {
            self.shrink(target, input, smaller)
        })?;
        if !is_well && found.is_empty() {
            bail!("the fuzzer ended with an error, and has found nothing");
        }
        Ok(found)
    }

    /// Makes an input smaller that ends the program.
    fn shrink(&self, target: &str, input: &Path, smaller: &Path) -> Result<()> {
        println!("==> Making {} smaller", input.display());
        let scratch = scratch()?;
        let mut shrink = self.command(target, scratch.path());
        shrink
            .arg("-minimize_crash=1")
            .arg(format!("-max_total_time={SHRINKING}"))
            .arg(format!("-exact_artifact_path={}", smaller.display()))
            .arg(input);
        // Its last try fails always: what counts is whether there is a file.
        shrink.output().context("cannot start the fuzzer")?;
        Ok(())
    }

    /// Adds those inputs to the project's that reach more code.
    pub(super) fn keep(&self, target: &str) -> Result<()> {
        let corpus = self.corpus(target)?;
        let scratch = scratch()?;
        let mut merge = self.command(target, scratch.path());
        merge
            .arg("-set_cover_merge=1")
            .arg(folder().join("seeds").join(target))
            .arg(corpus);
        if !merge.status().context("cannot start the fuzzer")?.success() {
            bail!("the inputs cannot be merged");
        }
        Ok(())
    }

    fn command(&self, target: &str, scratch: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command
            .env("FUZZ_TARGET", target)
            .env("FUZZ_SCRATCH", scratch)
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-timeout={SECONDS}"))
            .arg(format!("-max_len={LONGEST}"));
        command
    }

    fn corpus(&self, target: &str) -> Result<PathBuf> {
        let corpus = self.state.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        Ok(corpus)
    }
}

/// Returns the folders of what is committed for a target.
fn kept(target: &str) -> impl Iterator<Item = PathBuf> {
    let folders = ["seeds", "regressions"].map(|kind| folder().join(kind).join(target));
    folders.into_iter().filter(|folder| folder.exists())
}

/// Returns a folder for what the targets write, in memory where there is such a place: the program ends itself without
/// removing it.
fn scratch() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() {
        tempfile::tempdir_in(memory)?
    } else {
        tempfile::tempdir()?
    })
}

/// Returns the compiler's name for this machine.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .context("rustc does not say what machine this is")?
        .to_owned())
}
