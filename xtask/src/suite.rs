//! `cargo xtask test`: every test there is, and every check.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use rig::{DEMO_PACKAGES, DOCKER_PACKAGES, Session, Setup, TEST_PACKAGES};

use crate::deb;
use crate::project::{build_programs, cargo};
use crate::tally::Tally;

/// The tests that make network namespaces.
const ROOT_TESTS: &str = "vat/root-tests";

/// Runs everything, and prints what failed, what did not run and the counts in its last lines.
///
/// # Errors
/// When the programs do not build. Whatever else goes wrong is counted, and the rest goes on.
pub(crate) fn run() -> Result<ExitCode> {
    let mut tally = Tally::default();
    let programs = build_programs()?;
    if let Err(missing) = Setup::ensure(&[DEMO_PACKAGES, DOCKER_PACKAGES, TEST_PACKAGES].concat()) {
        println!("{missing:#}");
    }
    if let Err(missing) = deb::ensure_program() {
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
    // All of it is built before the first test starts a program, or a program might be replaced under a running one.
    let built = tests(&["--no-run"]).status()?.success();
    if built {
        let everything = tests(&["--no-fail-fast"]);
        run_tests(&mut tally, programs, everything)?;
    } else {
        tally.add_check("cargo test --no-run", false);
    }
    Ok(conclude(&tally))
}

/// Runs some tests with the machines they want: those that `cargo test` would run with `args`.
///
/// # Errors
/// As for [`run`].
pub(crate) fn run_some(args: &[&str]) -> Result<ExitCode> {
    let mut tally = Tally::default();
    let programs = build_programs()?;
    let mut some = cargo(&["test"]);
    some.args(args);
    run_tests(&mut tally, programs, some)?;
    Ok(conclude(&tally))
}

/// Prints what came out, and returns whether that is good.
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

/// Returns `cargo test` of everything that this user can run.
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

/// Runs the tests with the machines they want, where those can be had.
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
    // A crashed test program reports nothing, so that must not look like having no failures.
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

/// Runs `command`, showing its output as it comes and counting in it. Returns whether it succeeded.
fn run_and_count(command: &mut Command, tally: &mut Tally) -> Result<bool> {
    let (output, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("cannot start cargo")?;
    // Our copies of the pipe's end would keep it open for ever.
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
