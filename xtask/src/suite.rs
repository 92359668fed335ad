//! `cargo xtask test`: all tests and checks.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use rig::{DEMO_PACKAGES, DOCKER_PACKAGES, Session, Setup, TEST_PACKAGES};

use crate::project::{build_programs, cargo};
use crate::tally::Tally;
use crate::{axe, deb, doc, kubernetes};

/// The tests that make network namespaces.
const ROOT_TESTS: &str = "vat/root-tests";

/// Runs everything. The last lines of its output are the failures, what did not run, and the counts.
///
/// # Errors
/// When the programs do not build. Other failures are counted, and the rest continues.
pub(crate) fn run() -> Result<ExitCode> {
    let mut tally = Tally::default();
    let programs = build_programs()?;
    if let Err(missing) = Setup::ensure(&[DEMO_PACKAGES, DOCKER_PACKAGES, TEST_PACKAGES].concat()) {
        println!("{missing:#}");
    }
    if let Err(missing) = deb::ensure_program() {
        println!("{missing:#}");
    }
    if let Err(missing) = axe::ensure() {
        println!("{missing:#}");
    }
    if let Err(missing) = kubernetes::ensure() {
        println!("{missing:#}");
    }
    check(
        &mut tally,
        "cargo fmt --check",
        &mut cargo(&["fmt", "--all", "--check"]),
    );
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    check(&mut tally, "cargo clippy", &mut cargo(&clippy));
    check(&mut tally, "cargo doc", &mut doc::command());
    // Everything is built before the first test starts: a build could replace a program that a test runs.
    let built = tests(&["--no-run"]).status()?.success();
    if built {
        let everything = tests(&["--no-fail-fast"]);
        run_tests(&mut tally, programs, everything)?;
    } else {
        tally.add_check("cargo test --no-run", false);
    }
    Ok(conclude(&tally))
}

/// Runs the tests that `cargo test` would run with `args`, with the machines that they need.
///
/// # Errors
/// As for [`run`].
pub(crate) fn run_some(args: &[&str]) -> Result<ExitCode> {
    let mut tally = Tally::default();
    let programs = build_programs()?;
    let mut some = cargo(&["test"]);
    // A plain `cargo test` is about the programs only: see `default-members`.
    let names_a_package =
        |arg: &&str| matches!(*arg, "-p" | "--workspace") || arg.starts_with("--package");
    if !args.iter().any(names_a_package) {
        some.arg("--workspace");
    }
    some.args(args);
    run_tests(&mut tally, programs, some)?;
    Ok(conclude(&tally))
}

/// Prints the report, and returns the exit code.
fn conclude(tally: &Tally) -> ExitCode {
    print!("\n{}", tally.report());
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let all_well = tally.failed() == 0 && tally.passed() > 0 && !(is_ci && tally.skipped() > 0);
    if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns the command that runs all tests that this user can run.
fn tests(args: &[&str]) -> Command {
    let mut tests = cargo(&["test", "--workspace"]);
    if rig::is_root() {
        tests.args(["--features", ROOT_TESTS]);
    }
    tests.args(args);
    tests
}

fn check(tally: &mut Tally, name: &str, command: &mut Command) {
    println!("==> {name}");
    tally.add_check(name, command.status().is_ok_and(|status| status.success()));
}

/// Runs tests with the machines that they need, if these can be started.
fn run_tests(tally: &mut Tally, programs: std::path::PathBuf, mut tests: Command) -> Result<()> {
    println!("==> Starting a Docker engine and a registry");
    let session = Session::start(programs);
    if let Err(error) = &session {
        println!("Tests that need them will not run: {error:#}");
    }
    let env = session.as_ref().map(Session::env).unwrap_or_default();
    if !rig::is_root() {
        println!("not run: {ROOT_TESTS}: needs root");
        tally.read(&format!("not run: {ROOT_TESTS}: needs root"));
    }
    let all_passed = run_and_count(tests.envs(env).env("PATH", deb::search_path()), tally)?;
    // A test program that crashes reports no failure.
    if !all_passed && tally.failed() == 0 {
        tally.add_check("cargo test", false);
    }
    let stopped = session.map_or(Ok(()), Session::finish);
    if let Err(error) = &stopped {
        println!("{error:#}");
        tally.add_check("nothing left behind by the machines", false);
    }
    Ok(())
}

/// Runs `command`, prints its output as it comes, and counts the tests in it. Returns whether it succeeded.
fn run_and_count(command: &mut Command, tally: &mut Tally) -> Result<bool> {
    let (output, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("cannot start cargo")?;
    // Our copies of the writing end would keep the pipe open.
    command.stdout(io::stdout()).stderr(io::stderr());
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        io::stdout().write_all(&line)?;
        tally.read(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(child.wait()?.success())
}
